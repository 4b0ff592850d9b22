import { cniMain } from "../cli/cni_main.ts";
import { createCniHost } from "../host/cni_host.ts";

/** Answers a container runtime that called this program as a CNI plugin. @returns the exit code */
export async function runPlugin(): Promise<number> {
  return await cniMain({
    ...createCniHost(),
    async connectStellar(peer) {
      const { createStellarClient } = await import(
        "../cli/cni_stellar_client.ts"
      );
      return createStellarClient(peer);
    },
  });
}
