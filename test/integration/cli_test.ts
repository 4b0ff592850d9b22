import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { writeFakeIp } from "../support/fake_ip.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** What is typed behind `stellar-net`, the exit code, and what is printed. */
type Step = readonly [
  line: string,
  code: number,
  stdout: RegExp,
  stderr?: RegExp,
];

const NOTHING = /^$/;

// The steps build on each other.
const STEPS: readonly Step[] = [
  [
    "status",
    0,
    /^Node +node1$.*^172\.16\.0\.0\/12 .*claims one with its first/ms,
  ],
  ["subnet list", 0, /^SUBNET .*\n$/, /^No subnet is in use: /],
  ["ip allocate c1", 0, /^172\.16\.0\.2 .*^fd00:1::2 /ms],
  ["ip allocate c1", 0, /^172\.16\.0\.2 /m, /^It held this already/],
  ["ip allocate c1 --interface eth1", 0, /^172\.16\.0\.3 /m],
  ["ip allocate c2 --address 172.16.0.9", 0, /^172\.16\.0\.9 /m],
  [
    "ip allocate c3 --address 172.16.0.9",
    1,
    NOTHING,
    /Cannot allocate "172\.16\.0\.9": it is held by "c2" /,
  ],
  [
    "ip allocate c3 --address 172.16.0.1",
    1,
    NOTHING,
    /Cannot allocate "172\.16\.0\.1": it is the gateway of 172\.16\.0\.0\/22$/m,
  ],
  [
    "ip allocate c3 --address 172.16.3.255",
    1,
    NOTHING,
    /"172\.16\.3\.255": it is the broadcast address of 172\.16\.0\.0\/22$/m,
  ],
  [
    "ip allocate c3 --address 172.16.4.2",
    1,
    NOTHING,
    /"172\.16\.4\.2": it is outside the node's subnet 172\.16\.0\.0\/22 and /,
  ],
  [
    "ip allocate c3 --address 172.16.0.10 --address fd00:1::1",
    1,
    NOTHING,
    /Cannot allocate "fd00:1::1": it is the gateway of fd00:1::\/64$/m,
  ],
  ["ip get c3", 1, NOTHING, /Cannot get the allocation of "c3" .*"node1"$/m],
  ["ip get c1 --json", 0, /"address": "172\.16\.0\.2"/],
  ["ip list", 0, /^172\.16\.0\.2 .*^172\.16\.0\.3 .*^172\.16\.0\.9 /ms],
  ["ip release c1", 0, /^Released 172\.16\.0\.2\nReleased fd00:1::2\n$/],
  ["ip allocate c4 --network-name stellar", 0, /^172\.16\.0\.10 /m],
  ["ip get c4", 0, /^172\.16\.0\.10 /m],
  ["ip allocate c4 --network-name lab", 0, /^172\.16\.0\.11 /m],
  [
    "ip get c4",
    1,
    NOTHING,
    /"lab" \(172\.16\.0\.11 and fd00:.*"stellar"|"stellar" \(172\.16\.0\.10 and fd00:.*"lab"/,
  ],
  ["ip release c4 --network-name lab", 0, /^Released 172\.16\.0\.11\n/],
  [
    "ip release c4 c5",
    0,
    /^Released 172\.16\.0\.10\n/,
    /^Nothing to release: "c5" .* in any network$/m,
  ],
  ["ip release c1", 0, NOTHING, /^Nothing to release: "c1" /],
  [
    "ip history --address 172.16.0.2",
    0,
    /^172\.16\.0\.2 +c1 .* released over/m,
  ],
  [
    "subnet reserve 172.16.4.0/22 --reason printers",
    0,
    /reserved .* printers$/m,
  ],
  ["subnet reserve 172.16.0.0/22", 1, NOTHING, /node "node1" owns it; release/],
  [
    "subnet reserve 10.0.0.0/22",
    1,
    NOTHING,
    /"10\.0\.0\.0\/22" is not a subnet of/,
  ],
  [
    "subnet list",
    0,
    /^172\.16\.0\.0\/22 +owned .*^172\.16\.4\.0\/22 +reserved/ms,
  ],
  ["subnet unreserve 172.16.4.0/22", 0, /^Unreserved 172\.16\.4\.0\/22$/m],
  ["route add 10.0.0.0/8 192.0.2.1", 0, /^10\.0\.0\.0\/8 +192\.0\.2\.1 /m],
  [
    "route add 10.0.0.0/8 192.0.2.2",
    1,
    NOTHING,
    /Cannot add the route: route exists in configuration: "10\.0\.0\.0\/8" /,
  ],
  ["route list --extra --json", 0, /"cidr": "10\.0\.0\.0\/8"/],
  ["route delete 10.0.0.0/8", 0, /^Deleted 10\.0\.0\.0\/8$/m],
  ["route delete 10.0.0.0/8", 0, /^Nothing to delete: there is no extra route/],
  ["status --json", 0, /"held": 2,/],
];

Deno.test("the command line works with a running agent as documented", (t) =>
  withTempDir(async (dir) => {
    const env = await writeFakeIp(dir);
    await using agent = await spawnAgent({
      env,
      args: ["--store", "kv::memory:", "--network", "172.16.0.0/12"]
        .concat("--network", "fd00:1::/48"),
    });
    for (const [line, code, stdout, stderr = NOTHING] of STEPS) {
      await t.step(line, async () => {
        const result = await run(Deno.execPath(), [
          ...FROM_SOURCE,
          ...["--socket", agent.socketPath, ...line.split(" ")],
        ], { cwd: ROOT });
        assert.match(result.stderr, stderr);
        assert.match(result.stdout, stdout);
        assert.equal(result.code, code);
      });
    }
  }));
