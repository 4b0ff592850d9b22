import assert from "node:assert/strict";
import { dirname } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { NetError } from "../../../src/base/error.ts";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import type { TlsCredentials } from "../../../src/api/tls/credentials.ts";
import { freePort } from "../../support/free_port.ts";
import { run } from "../../support/run.ts";
import { withRpcServer } from "../../support/rpc_server.ts";
import { createStubNetwork } from "../../support/stub_network.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { asNobody } from "../../support/as_nobody.ts";

const CLIENT =
  new URL("../../support/rpc_client_main.ts", import.meta.url).pathname;
const START =
  'start it with "stellar-net agent", or name its socket with --socket';

Deno.test("createRpcTransport() calls over a socket and a URL", async (t) => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async ({ socketPath, url, server }) => {
    for (const target of [{ socketPath }, { url }]) {
      await t.step(Object.keys(target)[0]!, async () => {
        const transport = createRpcTransport(target);
        const network = createClient(Network, transport);
        assert.equal((await network.allocateIP({ id: "a" })).ip, "a");
        await assert.rejects(network.getIP({ id: "x" }), (error: unknown) => {
          assert.ok(error instanceof NetError);
          assert.equal(error.code, "not_found");
          assert.equal(
            error.message,
            'Cannot find "x": é, 100 %, it is not there',
          );
          return true;
        });
        const health = createClient(Health, transport);
        const statuses: number[] = [];
        for await (const { status } of health.watch({ service: "" })) {
          statuses.push(status);
          if (statuses.length === 2) break;
          server.health.set("", false);
        }
        assert.deepEqual(statuses, [1, 2]);
        server.health.set("", true);
      });
    }
  });
});

Deno.test("createRpcTransport() ends calls that take longer than they may", async () => {
  const stub = createStubNetwork();
  await withRpcServer({ routes: stub.routes }, async ({ socketPath }) => {
    const transport = createRpcTransport({ socketPath }, { timeoutMs: 100 });
    const client = createClient(Network, transport);
    await assert.rejects(client.getSubnet({}), {
      name: "NetError",
      code: "deadline_exceeded",
    });
    stub.release();
  });
});

Deno.test("createRpcTransport() ends a stream with a NetError when the server stops", async () => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async ({ socketPath, server }) => {
    const health = createClient(Health, createRpcTransport({ socketPath }));
    const statuses: number[] = [];
    await assert.rejects(async () => {
      for await (const { status } of health.watch({ service: "" })) {
        statuses.push(status);
        void server.close();
      }
    }, {
      name: "NetError",
      code: "unavailable",
      message: "the agent is stopping",
    });
    assert.deepEqual(statuses, [1, 2]);
  });
});

Deno.test("createRpcTransport() says why an agent cannot be reached", async (t) => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const stale = `${dir}/stale.sock`;
    // The listener removes its own name at the end, and leaves this one.
    const listener = Deno.listen({ transport: "unix", path: `${stale}.1` });
    await Deno.link(`${stale}.1`, stale);
    listener.close();
    const url = `http://127.0.0.1:${freePort()}`;
    const long = `${dir}/${"x".repeat(120)}`;
    const rows: readonly (readonly [
      name: string,
      target: string,
      why: string,
    ])[] = [
      [
        "no socket",
        `${dir}/none.sock`,
        `there is no such socket, so no agent serves there: ${START}; an agent whose socket was deleted makes it again within 5 s`,
      ],
      [
        "no folder",
        `${dir}/none/a.sock`,
        `there is no such socket, so no agent serves there: ${START}; an agent whose socket was deleted makes it again within 5 s`,
      ],
      [
        "a file as a folder",
        `${dir}/file/a.sock`,
        `there is no such socket, so no agent serves there: ${START}; an agent whose socket was deleted makes it again within 5 s`,
      ],
      [
        "a stale socket",
        stale,
        `nothing listens there, so it is not running: ${START}`,
      ],
      [
        "a file",
        `${dir}/file`,
        "this is not a socket: name the agent's with --socket",
      ],
      ["a folder", dir, "this is not a socket: name the agent's with --socket"],
      [
        "a path that is too long",
        long,
        "this is not the path of a socket: name the agent's with --socket",
      ],
      ["a port with no listener", url, "nothing listens there"],
    ];
    for (const [name, target, why] of rows) {
      await t.step(name, async () => {
        const transport = createRpcTransport(
          target === url ? { url } : { socketPath: target },
        );
        await assert.rejects(
          createClient(Network, transport).info({}),
          (error: unknown) => {
            assert.ok(error instanceof NetError);
            assert.equal(error.code, "unavailable");
            assert.equal(
              error.message,
              `Cannot reach the agent at "${target}": ${why}`,
            );
            return true;
          },
        );
      });
    }
  });
});

Deno.test("a process that has made its calls ends at once", async () => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async ({ socketPath, url }) => {
    for (const target of [socketPath, url]) {
      const { code, stdout, stderr } = await run(
        Deno.execPath(),
        ["run", "-A", CLIENT, target],
        { timeoutMs: 120_000 },
      );
      assert.equal(code, 0, stderr);
      const { answer, idleMs } = JSON.parse(stdout);
      assert.equal(answer, "stellar.services.network.v1");
      assert.ok(idleMs < 20_000, `it ended ${idleMs} ms after its last call`);
    }
  });
});

Deno.test("a socket that may not be used: the message names its owner", async () => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async ({ socketPath }) => {
    await Deno.chmod(socketPath, 0);
    await Deno.chmod(dirname(socketPath), 0o755);
    const uid = Deno.uid();
    const owner = uid === 0 ? "root" : `the user with id ${uid}`;
    await withTempDir(async (dir) => {
      const args = ["run", "-A", CLIENT, socketPath];
      const line = await asNobody(dir, args);
      const { stdout } = await run(line.command, line.args);
      assert.equal(
        JSON.parse(stdout).error,
        `Cannot reach the agent at "${socketPath}": no permission, ` +
          `it belongs to ${owner}; run this as the agent's user, usually root, ` +
          "or in the group of the agent's --socket-group, or as an operator " +
          "with --url and --identity",
      );
    });
  });
});

/** Answers each request with an empty message, and ends by itself after a while. */
const EMPTY_ANSWERS = `
import http.server, os, signal, socketserver, sys
signal.alarm(30)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        left = int(self.headers["content-length"] or -1)
        if left >= 0: self.rfile.read(left)
        while left < 0 and self.rfile.readline() != b"0\\r\\n": pass
        if left < 0: self.rfile.readline()
        self.send_response(200)
        self.send_header("content-type", "application/proto")
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *args): pass
if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
server = Server(sys.argv[1], Handler)
print(os.getpid(), flush=True)
server.serve_forever()
`;

Deno.test("createRpcTransport() calls again where a connection that it kept is gone", () =>
  withTempDir(async (dir) => {
    const socketPath = `${dir}/sock`;
    // While this waits, nothing here hears of connections that end.
    const start = (after: string) => {
      const { stdout } = new Deno.Command("sh", {
        args: [
          "-c",
          `${after} python3 -c "$1" "$2" >"$2.pid" 2>/dev/null & ` +
          'while ! [ -s "$2.pid" ]; do sleep 0.05; done; cat "$2.pid"; rm "$2.pid"',
          ...["sh", EMPTY_ANSWERS, socketPath],
        ],
        stderr: "null",
      }).outputSync();
      return Number(new TextDecoder().decode(stdout));
    };
    let pid = start("");
    const client = createClient(Network, createRpcTransport({ socketPath }));
    try {
      await Promise.all([client.info({}), client.info({})]);
      pid = start(`kill -9 ${pid};`);
      assert.equal((await client.info({})).id, "");
    } finally {
      Deno.kill(pid, "SIGKILL");
    }
  }));

/** A certificate that is replaced, as far as a client without TLS uses it. */
function replaceable() {
  const refusals: string[] = [];
  const tls = {
    material: { cert: "1", key: "", ca: "" },
    acceptsAnonymous: true,
    place: "here",
    recognize: () => ({ kind: "refused", why: "nobody is known here" }),
    fault: () => "",
    warnings: () => [],
    noteRefusal: (why: string) => refusals.push(why),
    onChange: () => () => {},
  } satisfies TlsCredentials;
  const replace = () => {
    tls.material = { ...tls.material, cert: "2" };
  };
  return { tls, refusals, replace };
}

for (const isReplaced of [false, true]) {
  Deno.test(`createRpcTransport() notes ${isReplaced ? "no refusal of a certificate that was replaced during the call" : "a refusal of its certificate"}`, async (t) => {
    const { tls, refusals, replace } = replaceable();
    const refuse = (): never => {
      if (isReplaced) replace();
      throw new ConnectError("It was valid until today", Code.Unauthenticated);
    };
    await withRpcServer({
      routes: (router) =>
        router.service(Network, { info: refuse })
          .service(RegistryService, {
            watch: refuse,
          }),
    }, async ({ url }) => {
      const transport = createRpcTransport({ url }, { tls });
      const calls: Readonly<Record<string, () => Promise<unknown>>> = {
        "a call": () => createClient(Network, transport).info({}),
        "a stream": () =>
          Array.fromAsync(createClient(RegistryService, transport).watch({})),
      };
      for (const [name, call] of Object.entries(calls)) {
        await t.step(name, async () => {
          refusals.length = 0;
          await assert.rejects(call(), { code: "unauthenticated" });
          assert.equal(refusals.length, isReplaced ? 0 : 1);
        });
      }
    });
  });
}
