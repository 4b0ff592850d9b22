import { cniMain } from "../cni/main.ts";
import { createCniHost } from "../cni/deno_io.ts";

/** Runs as a CNI plugin. @returns the exit code */
export async function runPlugin(): Promise<number> {
  return await cniMain({
    ...createCniHost(),
    async connectStellar(peer) {
      const { createStellarClient } = await import(
        "../cni/stellar_client.ts"
      );
      return createStellarClient(peer);
    },
  });
}
