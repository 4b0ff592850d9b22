/**
 * A program that tells every client the client's address.
 * The argument is the address to listen on; the port goes to stdout.
 */
const listener = Deno.listen({ hostname: Deno.args[0]!, port: 0 });
console.log(listener.addr.port);
for await (const connection of listener) {
  try {
    const { hostname } = connection.remoteAddr as Deno.NetAddr;
    await connection.write(new TextEncoder().encode(hostname));
  } finally {
    connection.close();
  }
}
