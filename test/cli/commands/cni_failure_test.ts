import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { CNI_ERRORS } from "../../../src/cni/text/errors.ts";
import { QUEUE_LIMIT } from "../../../src/cni/text/queue_entry.ts";
import type { CniIo } from "../../../src/cni/io.ts";
import { type PluginCall, withPlugin } from "./cni_calls.ts";

const OWNER = { network: "net", containerId: "c1", interfaceName: "eth0" };
const HELD = { address: "192.0.2.6", allocatedAtMs: 1, id: "other" };
const encode = (text: string) => new TextEncoder().encode(text);

/** What an agent may do to a call that it has carried out. */
const LOST = [
  { name: "never answered", fault: { kind: "hang" }, code: 11 },
  { name: "closed", fault: { kind: "close" }, code: 11 },
  {
    name: "cut off",
    fault: {
      kind: "bytes",
      text: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    },
    code: 11,
  },
  {
    name: "answered with what is no HTTP",
    fault: { kind: "bytes", text: "hello\r\n\r\n" },
    code: 5,
  },
  {
    name: "answered with what is no JSON",
    fault: { kind: "bytes", text: "HTTP/1.1 200 OK\r\n\r\nhello" },
    code: 5,
  },
  {
    name: "answered with an invalid error",
    fault: { kind: "bytes", text: "HTTP/1.1 502 x\r\n\r\n{}" },
    code: 5,
  },
  {
    name: "answered without an allocation",
    fault: { kind: "bytes", text: "HTTP/1.1 200 OK\r\n\r\n{}" },
    code: 5,
  },
] as const;

Deno.test("cniMain() ADD undoes an allocation whose answer was lost, within its timeout", async (t) => {
  for (const { name, fault, code } of LOST) {
    await t.step(name, () =>
      withPlugin(async ({ agent, call }) => {
        agent.fail(fault);
        const start = performance.now();
        const { socketPath: socket } = agent;
        const result = await call("ADD", {
          config: { ipam: { type: "stellar-net", socket, timeout: "2s" } },
        });
        assert.deepEqual([result.code, result.output?.code], [1, code]);
        assert.ok(performance.now() - start < 9_500);
        assert.deepEqual([...agent.held], []);
        assert.deepEqual(agent.methods, ["Allocate", "Release"]);
      }));
  }
});

Deno.test("cniMain() ADD that fails leaves the owner's former allocation", async (t) => {
  for (const { name, fault } of LOST) {
    await t.step(name, () =>
      withPlugin(async ({ agent, call }) => {
        agent.held.set("net/c1/eth0", HELD);
        agent.fail(fault);
        const { socketPath: socket } = agent;
        const result = await call("ADD", {
          config: { ipam: { type: "stellar-net", socket, timeout: "2s" } },
        });
        assert.equal(result.code, 1);
        assert.deepEqual([...agent.held.values()], [HELD]);
      }));
  }
});

Deno.test("cniMain() ADD that cannot be undone fails, and queues its undoing by id", async () => {
  await withPlugin(async ({ agent, call, queued }) => {
    agent.fail({ kind: "close" }, { kind: "close" });
    const result = await call("ADD");
    assert.deepEqual([result.code, result.output?.code], [1, 11]);
    assert.deepEqual(agent.methods, ["Allocate", "Release"]);
    const [{ owner, undoes }] = await queued() as [Record<string, unknown>];
    assert.deepEqual([owner, undoes], [OWNER, agent.calls[0]![1].id]);
  });
});

Deno.test("cniMain() ADD is undone when nobody reads its result", async (t) => {
  const io: PluginCall["io"] = {
    stdout() {
      throw new Deno.errors.BrokenPipe("Broken pipe");
    },
  };
  await t.step("a new address", () =>
    withPlugin(async ({ agent, call }) => {
      const { code, stderr } = await call("ADD", { io });
      assert.equal(code, 1);
      assert.match(stderr, /Cannot write to stdout: BrokenPipe/);
      assert.deepEqual([...agent.held], []);
    }));
  await t.step(
    "an address that was held before",
    () =>
      withPlugin(async ({ agent, call }) => {
        agent.held.set("net/c1/eth0", HELD);
        assert.equal((await call("ADD", { io })).code, 1);
        assert.equal(agent.held.size, 1);
      }),
  );
  await t.step(
    "an error that nobody reads",
    () =>
      withPlugin(async ({ call }) => {
        const result = await call("ADD", { io, config: { name: 1 } });
        assert.equal(result.code, 1);
      }),
  );
});

Deno.test("cniMain() DEL waits on disk while the agent does not answer", async (t) => {
  const release = { kind: "refuse", message: "not now" } as const;
  const rows = [
    { name: "unavailable", fault: { ...release, code: "unavailable" } },
    { name: "late", fault: { ...release, code: "deadline_exceeded" } },
    { name: "closed", fault: { kind: "close" } },
  ] as const;
  for (const { name, fault } of rows) {
    await t.step(name, () =>
      withPlugin(async ({ agent, call, queued }) => {
        agent.fail(fault);
        const requestedAtMs = 1_700_000_000_000;
        const { code, output, stderr } = await call("DEL", {
          io: {
            now: () => requestedAtMs,
            findNamespace: () => Promise.resolve({ kind: "gone" }),
            bootId: () => Promise.resolve("boot-1"),
          },
        });
        assert.deepEqual([code, output], [0, undefined]);
        assert.match(stderr, /The release waits in ".*queue"/);
        assert.deepEqual(await queued(), [{
          version: 2,
          owner: OWNER,
          requestedAtMs,
          netns: "/run/netns/c1",
          found: { kind: "gone" },
          bootId: "boot-1",
        }]);
      }));
  }
  await t.step(
    "not running",
    () =>
      withPlugin(async ({ socketPath, queueDir: queue, call, queued }) => {
        const socket = `${socketPath}.none`;
        const config = { ipam: { type: "stellar-net", socket, queue } };
        for (const id of ["a", "b"]) {
          const env = { CNI_CONTAINERID: id };
          assert.equal((await call("DEL", { env, config })).code, 0);
        }
        assert.equal((await queued()).length, 2);
        assert.equal((await Deno.stat(queue)).mode! & 0o777, 0o700);
      }),
  );
});

Deno.test("cniMain() DEL queues where the agent looks", async () => {
  await withPlugin(async ({ socketPath, queueDir, call, queued }) => {
    const socket = `${socketPath}.none`;
    await Deno.mkdir(queueDir);
    await Deno.symlink(queueDir, `${socket}.queue`);
    const config = { ipam: { type: "stellar-net", socket } };
    assert.equal((await call("DEL", { config })).code, 0);
    assert.equal((await queued()).length, 1);
  });
});

Deno.test("cniMain() DEL fails when it can neither reach the agent nor queue", async (t) => {
  await t.step(
    "the agent has another reason",
    () =>
      withPlugin(async ({ agent, queueDir, call }) => {
        agent.fail({ kind: "refuse", code: "internal", message: "a defect" });
        const result = await call("DEL");
        assert.deepEqual([result.code, result.output?.code], [1, 101]);
        await assert.rejects(Deno.stat(queueDir), Deno.errors.NotFound);
      }),
  );
  await t.step(
    "the queue is full",
    () =>
      withPlugin(async ({ agent, queueDir, call }) => {
        await Deno.mkdir(queueDir);
        for (let index = 0; index < QUEUE_LIMIT; index++) {
          Deno.writeTextFileSync(join(queueDir, `${index}.json`), "");
        }
        agent.fail({ kind: "close" });
        const { output } = await call("DEL");
        assert.equal(output?.code, 11);
        assert.match(String(output?.msg), /10000 releases wait there already/);
      }),
  );
  await t.step(
    "the queue cannot be written",
    () =>
      withPlugin(async ({ agent, queueDir, call }) => {
        await Deno.writeTextFile(queueDir, "a file");
        agent.fail({ kind: "close" });
        const { output } = await call("DEL");
        assert.equal(output?.code, 11);
        assert.match(String(output?.msg), /Nor can it wait in ".*queue": /);
      }),
  );
});

Deno.test("cniMain() has no permission for the socket: it names the users that have", async () => {
  await withPlugin(async ({ call }) => {
    const denied = Object.assign(new Error("no"), { code: "EACCES" });
    const io = { connect: () => Promise.reject(denied) };
    const { output } = await call("ADD", { io });
    assert.equal(output?.code, 104);
    assert.match(String(output?.msg), /run the container runtime as the/);
  });
});

Deno.test("cniMain() names unreadable input", async (t) => {
  const rows: readonly [
    name: string,
    readStdin: CniIo["readStdin"],
    text: RegExp,
  ][] = [
    ["too long", () => Promise.resolve({ kind: "too long" }), /more than/],
    ["late", () => Promise.resolve({ kind: "late" }), /was not closed within/],
    ["broken", () => Promise.reject(new Error("EIO")), /EIO/],
  ];
  for (const [name, readStdin, text] of rows) {
    await t.step(name, () =>
      withPlugin(async ({ call }) => {
        const { code, output } = await call("ADD", { io: { readStdin } });
        assert.deepEqual([code, output?.code], [1, 5]);
        assert.match(String(output?.msg), text);
        const version = await call("VERSION", { io: { readStdin } });
        assert.equal(version.output?.cniVersion, "1.1.0");
      }));
  }
});

Deno.test("cniMain() gives one JSON object or nothing, whatever comes in", async () => {
  const codes: unknown[] = Object.values(CNI_ERRORS).map(({ code }) => code);
  const verb = fc.oneof(
    fc.constantFrom("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"),
    fc.string(),
  );
  const env = fc.dictionary(
    fc.constantFrom("CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"),
    fc.oneof(fc.string(), fc.constantFrom("IP=192.0.2.3", "c9")),
  );
  const key = fc.constantFrom(
    "cniVersion",
    "name",
    "ipam",
    "type",
    "routes",
    "dst",
    "dns",
    "args",
    "cni",
    "ips",
    "prevResult",
    "runtimeConfig",
    "cni.dev/valid-attachments",
    "__proto__",
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<unknown>("1.1.0", "net", "stellar-net", "192.0.2.0/24"),
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 6 }),
    ),
  }));
  const config = fc.oneof(
    { weight: 6, arbitrary: fc.dictionary(key, value) },
    {
      weight: 1,
      arbitrary: value.map((value) => encode(JSON.stringify(value) ?? "")),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  );
  await withPlugin(async ({ call }) => {
    await fc.assert(
      fc.asyncProperty(verb, env, config, async (verb, env, config) => {
        const { code, output } = await call(verb, { env, config });
        assert.ok(code === 0 || codes.includes(output?.code));
        assert.ok(code !== 0 || output?.code === undefined);
        assert.notEqual(output?.code, 101, String(output?.msg));
      }),
      { numRuns: 300 },
    );
  });
});
