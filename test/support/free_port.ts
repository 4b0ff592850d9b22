/**
 * The first port, and the number of ports: below those that the kernel gives to
 * clients, and above 10080, which fetch blocks.
 */
const FIRST = 11_000;
const COUNT = 20_000;

/**
 * A TCP port on 127.0.0.1 that nothing listens on. The kernel gives it to no
 * client before the caller takes it; another test may get it, once in thousands.
 */
export function freePort(): number {
  for (;;) {
    const port = FIRST + crypto.getRandomValues(new Uint32Array(1))[0]! % COUNT;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
