import type { Transport } from "@connectrpc/connect";

/** A transport that is made with the first call. One that cannot be made fails each call. */
export function lazyTransport(make: () => Promise<Transport>): Transport {
  let making: Promise<Transport> | undefined;
  const made = () => making ??= make();
  return {
    unary: async (...call) => await (await made()).unary(...call),
    stream: async (...call) => await (await made()).stream(...call),
  };
}
