/**
 * A TCP port on 127.0.0.1 that nothing listens on. Another process may take it
 * before the caller does; the kernel hands out others first.
 */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
