/**
 * An end of a tunnel between hosts of a lab, as `ssh -L` has two: it takes
 * connections at the first place and joins each with one to the second. A place
 * is a port of 127.0.0.1, or the path of a unix socket.
 */
const [from = "", to = ""] = Deno.args;

function listen(place: string): Deno.Listener | Deno.UnixListener {
  return place.startsWith("/")
    ? Deno.listen({ transport: "unix", path: place })
    : Deno.listen({ hostname: "127.0.0.1", port: Number(place) });
}

function connect(place: string): Promise<Deno.Conn> {
  return place.startsWith("/")
    ? Deno.connect({ transport: "unix", path: place })
    : Deno.connect({ hostname: "127.0.0.1", port: Number(place) });
}

async function join(one: Deno.Conn): Promise<void> {
  try {
    const other = await connect(to);
    await Promise.all([
      one.readable.pipeTo(other.writable),
      other.readable.pipeTo(one.writable),
    ]);
  } catch (error) {
    // One of the two ends is gone.
    console.error(String(error));
  }
}

const listener = listen(from);
console.log("listening");
for await (const connection of listener) void join(connection);
