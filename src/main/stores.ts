import type { AgentConfig } from "../config/config.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import type { Store } from "../store/store.ts";

/**
 * Opens the store of a registry that is kept in etcd; undefined for one that is
 * in the agent's own.
 *
 * @throws {NetError} `failed_precondition` when others may use a file with a secret
 */
export async function openRegistryStore(
  { store }: Pick<AgentConfig, "store">,
): Promise<Store | undefined> {
  if (typeof store !== "object") return undefined;
  for (const path of [store.tls?.keyPath, store.user?.passwordPath]) {
    if (path !== undefined) await checkSecretFile(path);
  }
  const { openEtcd } = await import("../store/etcd/etcd.ts");
  return await openEtcd(store);
}
