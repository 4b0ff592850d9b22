import assert from "node:assert/strict";
import { checkAddresses } from "../../src/doctor/address_checks.ts";
import { type Check, formatCheck } from "../../src/host/checks/check.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { FakePathProbe } from "../fake/fake_path_probe.ts";
import { hostLink } from "../host/plan/host_plans.ts";

const SUBNETS = [parsePrefix("172.16.0.0/22")];
const INTERFACES = {
  links: [
    hostLink("eth0", "", ["198.18.0.1/24"]),
    hostLink("br0", "bridge", ["172.16.0.1/22"]),
  ],
  defaultRoutes: [],
};
const NONE =
  'address: each address of 172.16.0.0/22 in use on "br0" is held by a container or reserved';

/** Neighbours on the bridge, such as `172.16.0.9 02:00:00:00:00:09 STALE`. */
function probeOf(...neighbours: string[]): FakePathProbe {
  const probe = new FakePathProbe();
  for (const text of neighbours) {
    const [address, macAddress, state] = text.split(" ");
    probe.entries.push({
      address: parseAddress(address!),
      device: "br0",
      macAddress: macAddress!,
      states: [state!],
    });
  }
  return probe;
}

function check(
  probe: FakePathProbe,
  held: string[] = [],
  used: string[] = [],
): Promise<Check[]> {
  return checkAddresses(probe, {
    subnets: SUBNETS,
    interfaces: INTERFACES,
    isHeld: (address) => Promise.resolve(held.includes(formatAddress(address))),
    onUsed: (address) => used.push(formatAddress(address)),
  });
}

Deno.test("checkAddresses() tells addresses in use from those that are held, and those that were", async (t) => {
  const rows: readonly [
    name: string,
    neighbours: readonly string[],
    change: (probe: FakePathProbe) => void,
    lines: readonly string[],
  ][] = [
    ["nobody", [], () => {}, [NONE]],
    [
      "a container, and what is none of its addresses",
      [
        "172.16.0.2 02:00:00:00:00:02 REACHABLE",
        "172.16.0.0 02:00:00:00:00:03 STALE",
        "172.16.3.255 02:00:00:00:00:03 STALE",
        "192.0.2.9 02:00:00:00:00:03 REACHABLE",
        "172.16.0.8  FAILED",
        "172.16.0.9  INCOMPLETE",
      ],
      (probe) =>
        probe.ports.set("br0", new Map([["02:00:00:00:00:03", "veth3"]])),
      [NONE],
    ],
    [
      "what a container has left",
      ["172.16.0.7 02:00:00:00:00:07 STALE"],
      (probe) =>
        probe.ports.set("br0", new Map([["02:00:00:00:00:02", "veth2"]])),
      [NONE],
    ],
    [
      "who answers, one behind a port that is known and one not",
      [
        "172.16.0.7 02:00:00:00:00:07 STALE",
        "172.16.0.8 02:00:00:00:00:08 REACHABLE",
      ],
      (probe) => {
        probe.largest.set("172.16.0.7", 1500);
        probe.largest.set("172.16.0.8", 1500);
        probe.ports.set("br0", new Map([["02:00:00:00:00:08", "veth8"]]));
      },
      [
        'address: 172.16.0.7 is in use by 02:00:00:00:00:07 on "br0", and no container holds it; ' +
        "no container gets it while it is in use; " +
        'to fix it: stellar-net ip reserve 172.16.0.7 --reason "in use by 02:00:00:00:00:07"',
        'address: 172.16.0.8 is in use by 02:00:00:00:00:08 on "br0", behind its port "veth8", and no container holds it; ' +
        "no container gets it while it is in use; " +
        'to fix it: stellar-net ip reserve 172.16.0.8 --reason "in use by 02:00:00:00:00:08"',
      ],
    ],
  ];
  for (const [name, neighbours, change, lines] of rows) {
    await t.step(name, async () => {
      const probe = probeOf(...neighbours);
      change(probe);
      const used: string[] = [];
      const checks = await check(probe, ["172.16.0.2"], used);
      assert.deepEqual(checks.map(formatCheck), lines);
      assert.equal(used.length, lines.filter((line) => line !== NONE).length);
    });
  }
});

Deno.test("checkAddresses() finds the user of an address behind a port, without ping", async () => {
  const probe = probeOf("172.16.0.7 02:00:00:00:00:07 REACHABLE");
  probe.ports.set("br0", new Map([["02:00:00:00:00:07", "veth7"]]));
  probe.missing.set("ping", 'Cannot run "ping": it is not installed');
  const checks = await check(probe);
  assert.deepEqual(checks.map(({ status }) => status), ["warning"]);
});

Deno.test("checkAddresses() tries 64 unknown addresses at most", async () => {
  const probe = probeOf(
    ...Array.from(
      { length: 200 },
      (_, i) => `172.16.1.${i} 02:00:00:00:00:07 STALE`,
    ),
  );
  assert.deepEqual((await check(probe)).map(formatCheck), [NONE]);
  assert.equal(probe.tried.length, 64);
});

Deno.test("checkAddresses() says when it cannot look", async () => {
  const probe = new FakePathProbe();
  probe.missing.set("ip", 'Cannot run "ip": it is not installed');
  const [line] = (await check(probe)).map(formatCheck);
  assert.match(
    line!,
    /^address: Cannot run "ip": it is not installed; whether .* not known; to fix it: install iproute2$/,
  );
});

Deno.test("checkAddresses() has nothing to look at without a gateway on an interface", async () => {
  const checks = await checkAddresses(new FakePathProbe(), {
    subnets: [parsePrefix("172.16.4.0/22")],
    interfaces: INTERFACES,
    isHeld: () => Promise.reject(new Error("it was asked")),
    onUsed: () => {},
  });
  assert.deepEqual(checks, []);
});

Deno.test("checkAddresses() sends at most 16 pings at once", async () => {
  const neighbours = Array.from(
    { length: 40 },
    (_, i) => `172.16.1.${i} 02:00:00:00:00:09 STALE`,
  );
  const probe = probeOf(...neighbours);
  await check(probe);
  assert.deepEqual([probe.tried.length, probe.mostAtOnce], [40, 16]);
});
