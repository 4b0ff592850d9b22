import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import type {
  Command,
  CommandOutput,
  FollowOptions,
} from "../../src/system/command.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import { planRoutes } from "../../src/routes/plan/route_plan.ts";
import {
  createFakeHost,
  desire,
  PROTOCOL,
  readKernel,
} from "./plan/kernels.ts";

const DONE: CommandOutput = { code: 0, stdout: "", stderr: "" };

Deno.test("IpRoutes.read() asks for all at once, with protocols by number", async () => {
  const asked: Command[] = [];
  const port = createPort((command) => {
    asked.push(command);
    return { ...DONE, stdout: "[]\n[]\n" };
  });
  assert.deepEqual(await port.read(), { routes: [], links: [] });
  assert.deepEqual(asked, [{
    program: "ip",
    args: ["-N", "-json", "-batch", "-"],
    stdin: "address show\nroute show table all\n",
  }]);
});

Deno.test("IpRoutes.read() returns the same state until something has changed", async () => {
  let lifetime = 90;
  let gateway = "fe80::1";
  const port = createPort(() => ({
    ...DONE,
    stdout: `[{"ifname":"a","flags":["UP"],"addr_info":[{"local":"192.0.2.1",` +
      `"prefixlen":24,"valid_life_time":${lifetime},` +
      `"preferred_life_time":${lifetime}}]}]\n` +
      `[{"dst":"default","gateway":"${gateway}","dev":"a",` +
      `"expires":${lifetime},"pref":"medium"}]\n`,
  }));
  const first = await port.read();
  lifetime--;
  assert.equal(await port.read(), first);
  gateway = "fe80::2";
  const second = await port.read();
  assert.notEqual(second, first);
  assert.equal(second.routes.length, 1);
});

Deno.test("IpRoutes.read() fails with the message of ip", async (t) => {
  const rows: readonly [
    name: string,
    output: Partial<CommandOutput>,
    message: RegExp,
  ][] = [
    [
      "an error",
      { code: 1, stderr: "Cannot open netlink socket: x\n" },
      /^Cannot read this host's routes: "ip -N -json -batch -" failed: Cannot open netlink socket: x$/,
    ],
    ["no word", { code: 9 }, / failed: it ended with 9$/],
    ["no JSON", { stdout: "[]\ndefault via 192.0.2.1\n" }, / unknown form$/],
    ["one line", { stdout: "[]\n" }, / unknown form$/],
    ["three lines", { stdout: "[]\n[]\n[]\n" }, / unknown form$/],
  ];
  for (const [name, output, message] of rows) {
    await t.step(name, () =>
      assert.rejects(
        createPort(() => ({ ...DONE, ...output })).read(),
        { code: "unavailable", message },
      ));
  }
});

Deno.test("IpRoutes.apply() returns the outcome of every operation", async (t) => {
  const kernel = await readKernel(
    await createFakeHost(["route add 172.16.8.0/22 via 198.18.0.9 proto 83"]),
  );
  const { operations } = planRoutes(
    [
      desire("172.16.4.0/22 via 198.18.0.2"),
      desire("172.16.8.0/22 via 198.18.0.3"),
      desire("172.16.12.0/22 via 198.18.0.4"),
    ],
    kernel,
    { protocol: PROTOCOL },
  );
  const lines = [
    "route add 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
    "route add 172.16.8.0/22 via 198.18.0.3 dev up0 proto 83 metric 1",
    "route del 172.16.8.0/22 via 198.18.0.9 dev up0 proto 83",
    "route add 172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
    "route del 172.16.8.0/22 via 198.18.0.3 dev up0 proto 83 metric 1",
    "route add 172.16.12.0/22 via 198.18.0.4 dev up0 proto 83",
  ];
  const rows: readonly [
    name: string,
    code: number,
    stderr: string,
    errors: readonly (string | undefined)[],
  ][] = [
    ["all done", 0, "", [undefined, undefined, undefined]],
    ["the first failed", 1, "No.\nCommand failed -:1\n", [
      "No.",
      undefined,
      undefined,
    ]],
    [
      "two lines of one",
      1,
      "No.\nCommand failed -:3\nNever.\nCommand failed -:5\n",
      [undefined, "No.", undefined],
    ],
    [
      "ip left off after a failure",
      255,
      "No.\nCommand failed -:1\nWhat is that?\n",
      ["No.", "What is that?", "What is that?"],
    ],
  ];
  for (const [name, code, stderr, errors] of rows) {
    await t.step(name, async () => {
      const ran: Command[] = [];
      const port = createPort((command) => {
        ran.push(command);
        return { code, stdout: "", stderr };
      });
      const outcomes = await port.apply(operations);
      assert.deepEqual(outcomes.map(({ error }) => error), errors);
      assert.deepEqual(
        outcomes.map(({ operation }) => operation),
        operations,
      );
      assert.deepEqual(ran, [{
        program: "ip",
        args: ["-force", "-batch", "-"],
        stdin: lines.map((line) => `${line}\n`).join(""),
      }]);
    });
  }
});

Deno.test("IpRoutes.apply() runs nothing for nothing, and fails when ip does without a word", async () => {
  const port = createPort(() => ({ ...DONE, code: 1 }));
  assert.deepEqual(await port.apply([]), []);
  const { operations } = planRoutes(
    [desire("172.16.4.0/22 via 198.18.0.2")],
    await readKernel(await createFakeHost()),
    { protocol: PROTOCOL },
  );
  await assert.rejects(port.apply(operations), {
    code: "unavailable",
    message: 'Cannot change routes: "ip -force -batch -" ended with 1',
  });
});

Deno.test("IpRoutes.monitor() listens again whatever happens to ip monitor", async () => {
  const abort = new AbortController();
  const { signal } = abort;
  let starts = 0;
  const port = createPort(() => DONE, async function* (options) {
    starts++;
    // Ends by itself, cannot be started, stays.
    if (starts === 1) yield "[LINK]1: a";
    else if (starts === 2) throw new NetError("unavailable", "no ip");
    else {
      yield "[LINK]2: b";
      await new Promise((resolve) =>
        options.signal.addEventListener("abort", resolve)
      );
    }
  });
  let events = 0;
  for await (const _ of port.monitor({ signal })) {
    events++;
    // One from each that spoke, and one once the last can be relied on.
    if (events === 3) abort.abort();
  }
  assert.equal(starts, 3);
});

Deno.test("IpRoutes.monitor() makes one event of many, and ends ip monitor when it is left", async () => {
  const abort = new AbortController();
  const said: string[] = [];
  let isEnded = false;
  const port = createPort(() => DONE, async function* ({ signal }) {
    try {
      while (said.push("link") < 1000) yield "link";
      if (signal.aborted) return;
      await new Promise((end) => {
        signal.addEventListener("abort", end);
      });
    } finally {
      isEnded = true;
    }
  });
  abort.abort();
  for await (const _ of port.monitor(abort)) assert.fail("it has ended");
  assert.deepEqual(said, []);
  let events = 0;
  for await (const _ of port.monitor(new AbortController())) {
    events++;
    if (said.length === 1000) break;
    // What is said meanwhile is one event.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.ok(events <= 2, `${events} events`);
  assert.equal(isEnded, true);
});

function createPort(
  run: (command: Command) => CommandOutput,
  follow: (options: FollowOptions) => AsyncIterable<string> =
    async function* () {},
): IpRoutes {
  return new IpRoutes({
    runner: { run: (command) => Promise.resolve(run(command)) },
    follower: { follow: (_, options) => follow(options) },
  });
}

Deno.test("IpRoutes.monitor() announces no change of its own, for a second", async (t) => {
  const own = "[ROUTE]172.16.4.0/22 via 198.18.0.2 dev up0 proto 83";
  const rows: readonly [
    what: string,
    lines: readonly string[],
    afterMs: number,
    events: number,
  ][] = [
    ["its own change", [own], 1_000, 0],
    ["its own change, late", [own], 1_001, 1],
    ["the same change once more", [own, own], 0, 1],
    ["the opposite change", [own.replace("]", "]Deleted ")], 0, 1],
    ["another protocol", [own.replace("83", "4")], 0, 1],
    ["a change that has failed", [own.replace("4.0/22", "8.0/22")], 0, 1],
  ];
  for (const [what, lines, afterMs, expected] of rows) {
    await t.step(what, async () => {
      const abort = new AbortController();
      let nowMs = 0;
      let events = 0;
      const port = new IpRoutes({
        runner: {
          run: () =>
            Promise.resolve({
              ...DONE,
              code: 1,
              stderr: "No.\nCommand failed -:2\n",
            }),
        },
        follower: {
          async *follow() {
            for (const line of lines) {
              yield line;
              // No timer: what reads the events must see each before the next.
              for (let i = 0; i < 20; i++) await Promise.resolve();
            }
            abort.abort();
          },
        },
        clock: () => nowMs,
      });
      const { operations } = planRoutes(
        ["4", "8"].map((n) => desire(`172.16.${n}.0/22 via 198.18.0.2`)),
        await readKernel(await createFakeHost()),
        { protocol: PROTOCOL },
      );
      await port.apply(operations);
      nowMs = afterMs;
      for await (const _ of port.monitor(abort)) events++;
      assert.equal(events, expected);
    });
  }
});
