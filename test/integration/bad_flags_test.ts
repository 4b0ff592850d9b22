import assert from "node:assert/strict";
import { describeTree, runRefused } from "../support/refusal.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** What is typed behind `stellar-net`, the environment, and what the error says. */
type Row = readonly [
  line: string,
  env: Readonly<Record<string, string>>,
  says: RegExp,
];

// A sample of each kind: test/cli holds every flag and every twin, in memory.
const USAGE: readonly Row[] = [
  ["nonsense", {}, /"nonsense"/],
  ["agent --no-such-flag", {}, /--no-such-flag/],
  ["agent --node a/b", {}, /: --node: "a\/b" is not valid/],
  [
    "agent --network 192.0.2.12/24",
    {},
    /: --network: .*host bits set.*"192\.0\.2\.0\/24"/,
  ],
  [
    "agent --network 10.0.0.0/8 --network 10.1.0.0/16",
    {},
    /: --network: "10\.0\.0\.0\/8" and "10\.1\.0\.0\/16" overlap/,
  ],
  ["agent --network 10.0.0.0/33", {}, /: --network: "10\.0\.0\.0\/33"/],
  [
    "agent --network 10.0.0.0/24 --subnet-prefix 31",
    {},
    /: --subnet-prefix: .*\/31.*"--subnet-prefix 27"/,
  ],
  [
    "agent --network 192.168.0.0/24",
    {},
    /: --network: .*\/34.*"--subnet-prefix 27"/,
  ],
  ["agent --listen localhost:9000", {}, /: --listen: "localhost"/],
  ["agent --join http://192.0.2.1:9000", {}, /: --join: .*--insecure/],
  ["agent --token-file token", {}, /: --token-file goes with .*--join/],
  ["agent --cool-down 60", {}, /: --cool-down: "60" is not a duration/],
  ["agent", { STELLAR_NET_NODE: "a b" }, /: STELLAR_NET_NODE: "a b"/],
  [
    "agent",
    { STELLAR_NET_NETWORK: "10.0.0.0/8,::/0x" },
    /: STELLAR_NET_NETWORK: "::\/0x"/,
  ],
  [
    "agent --listen 192.0.2.1:9000",
    { STELLAR_NET_INSECURE: "maybe" },
    /: STELLAR_NET_INSECURE: "maybe"/,
  ],
  ["ip allocate", {}, /CONTAINER|container/],
  ["ip allocate c1 --address 1..2.3", {}, /: --address: "1\.\.2\.3"/],
  ["status", { STELLAR_NET_TIMEOUT: "0s" }, /: STELLAR_NET_TIMEOUT: "0s"/],
  ["subnet reserve 10.0.0.1/22", {}, /host bits set/],
  ["route add 10.0.0.0/8 host1", {}, /"host1" is not an IP address/],
];

Deno.test("wrong usage ends with 2, names what is wrong and writes nothing", (t) =>
  withTempDir(async (dir) => {
    const places = {
      STELLAR_NET_STATE: `${dir}/state`,
      STELLAR_NET_SOCKET: `${dir}/agent.sock`,
    };
    for (const [line, env, says] of USAGE) {
      const name = [...Object.entries(env).map((pair) => pair.join("=")), line];
      await t.step(name.join(" "), async () => {
        const { code, message } = await runRefused(line.split(" "), {
          env: { ...places, ...env },
        });
        assert.equal(code, 2, message);
        assert.match(message, says);
        assert.match(message, /; see "stellar-net.* --help"$/);
        assert.deepEqual(await describeTree(dir), {});
      });
    }
  }));

Deno.test("clients that reach no agent end with 1 and say how to start one", (t) =>
  withTempDir(async (dir) => {
    const file = `${dir}/file`;
    await Deno.writeTextFile(file, "");
    using _mute = Deno.listen({ transport: "unix", path: `${dir}/mute` });
    const rows:
      readonly (readonly [name: string, line: string, says: RegExp])[] = [
        [
          "no socket",
          `--socket ${dir}/none status`,
          /there is no such socket.*"stellar-net agent"/,
        ],
        ["a file", `--socket ${file} ip list`, /this is not a socket/],
        [
          "an agent that does not answer",
          `--socket ${dir}/mute --timeout 100ms subnet list`,
          /did not answer in time/,
        ],
      ];
    for (const [name, line, says] of rows) {
      await t.step(name, async () => {
        const { code, message } = await runRefused(line.split(" "));
        assert.equal(code, 1, message);
        assert.match(message, /^Cannot /);
        assert.match(message, says);
      });
    }
  }));
