import assert from "node:assert/strict";
import {
  exchange,
  readReport,
  runEchoProcess,
} from "../../src/station/echo_process.ts";

Deno.test("runEchoProcess() echoes, makes connections on order, and ends with its input", async () => {
  const lines: string[] = [];
  const ports = Promise.withResolvers<number>();
  const done = Promise.withResolvers<string>();
  const { readable, writable } = new TransformStream<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >();
  const running = runEchoProcess({
    input: readable,
    write: (text) => {
      lines.push(text);
      const report = readReport(text);
      if (report && "port" in report) ports.resolve(report.port);
      else done.resolve(text);
    },
  });
  const port = await ports.promise;
  assert.equal(await exchange({ hostname: "127.0.0.1", port }), "");
  const writer = writable.getWriter();
  const order = JSON.stringify({ id: 3, hostname: "127.0.0.1", port });
  const bytes = new TextEncoder().encode(`\n${order}\n`);
  // A line may come in pieces.
  await writer.write(bytes.slice(0, 9));
  await writer.write(bytes.slice(9));
  assert.deepEqual(readReport(await done.promise), { id: 3, problem: "" });
  await writer.close();
  await running;
  const refused = await exchange({ hostname: "127.0.0.1", port });
  assert.match(refused, /^no connection: /);
});

Deno.test("exchange() says how far a connection has got", async (t) => {
  const serve = (handle: (connection: Deno.TcpConn) => Promise<void>) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    void (async () => {
      for await (const connection of listener) void handle(connection);
    })();
    return listener;
  };
  await t.step("a peer that sends nothing back", async () => {
    let taken: Deno.TcpConn | undefined;
    using listener = serve((connection) => {
      taken = connection;
      return Promise.resolve();
    });
    const { port } = listener.addr as Deno.NetAddr;
    const to = { hostname: "127.0.0.1", port };
    const problem = await exchange(to, { limitMs: 200 });
    assert.equal(problem, "only 0 of 262144 bytes came back within 0.2 s");
    taken!.close();
  });
  await t.step("a peer that ends early", async () => {
    using listener = serve(async (connection) => {
      await connection.write(new Uint8Array(10));
      await connection.closeWrite();
      // What it does not read would reset the connection.
      await connection.readable.pipeTo(new WritableStream()).catch(() => {});
    });
    const { port } = listener.addr as Deno.NetAddr;
    const problem = await exchange({ hostname: "127.0.0.1", port });
    assert.equal(problem, "the connection ended after 10 of 262144 bytes");
  });
});
