import type { AgentConfig } from "../agent/config.ts";
import type { Store } from "../store/store.ts";

/** Opens the store of a registry that is kept in etcd; undefined for one that is in the agent's own. */
export async function openRegistryStore(
  { store }: Pick<AgentConfig, "store">,
): Promise<Store | undefined> {
  if (typeof store !== "object") return undefined;
  const { openEtcd } = await import("../store/etcd.ts");
  return await openEtcd(store);
}
