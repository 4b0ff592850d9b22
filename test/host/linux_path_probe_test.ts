import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import type { Command, CommandOutput } from "../../src/system/command.ts";
import { LinuxPathProbe } from "../../src/host/linux_path_probe.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";

const LOST = "5 packets transmitted, 0 received, 100% packet loss";

/** A probe whose programs all leave the same, and the commands that it runs. */
function probeOf(output: Partial<CommandOutput>) {
  const lines: string[] = [];
  const run = ({ program, args }: Command) => {
    lines.push([program, ...args].join(" "));
    return Promise.resolve({ code: 0, stdout: "", stderr: "", ...output });
  };
  return { probe: new LinuxPathProbe({ runner: { run } }), lines };
}

Deno.test("LinuxPathProbe runs ip, bridge and ping", async () => {
  const address = parseAddress("172.16.4.1");
  const source = parseAddress("172.16.0.2");
  const { probe, lines } = probeOf({ code: 2, stderr: "RTNETLINK answers: x" });
  await probe.lookUp(address);
  await probe.lookUp(address, { source, device: "br0" });
  const silent = probeOf({});
  await silent.probe.routesWithin(parsePrefix("fd00::/64"));
  await silent.probe.rules(6);
  await silent.probe.neighbours(parsePrefix("172.16.0.0/22"), "br0");
  await silent.probe.bridgePorts("br0");
  const pinging = probeOf({ stdout: LOST, code: 1 });
  await pinging.probe.ping(address);
  await pinging.probe.ping(address, { packetBytes: 1500 });
  await pinging.probe.ping(parseAddress("2001:2::2"), { packetBytes: 1500 });
  await pinging.probe.ping(address, { hops: 2, source });
  assert.deepEqual([...lines, ...silent.lines, ...pinging.lines], [
    "ip -json -N route get 172.16.4.1",
    "ip -json -N route get fibmatch 172.16.4.1",
    "ip -json -N route get 172.16.4.1 from 172.16.0.2 iif br0",
    "ip -json -N route get fibmatch 172.16.4.1 from 172.16.0.2 iif br0",
    "ip -json -6 -N route show root fd00::/64",
    "ip -json -6 -N rule show",
    "ip -json neighbour show to 172.16.0.0/22 dev br0",
    "bridge -json fdb show br br0",
    "ping -n -c 1 -w 1 -i 0.2 -M do 172.16.4.1",
    "ping -n -c 1 -w 1 -i 0.2 -M do -s 1472 172.16.4.1",
    "ping -n -c 1 -w 1 -i 0.2 -M do -s 1452 2001:2::2",
    "ping -n -c 1 -w 1 -i 0.2 -M do -t 2 -I 172.16.0.2 172.16.4.1",
  ]);
});

Deno.test("LinuxPathProbe names the failed command", async (t) => {
  const address = parseAddress("172.16.4.1");
  const rows: readonly [
    name: string,
    output: Partial<CommandOutput>,
    act: (probe: LinuxPathProbe) => Promise<unknown>,
    message: RegExp,
  ][] = [
    [
      "an ip that knows no such option",
      { code: 255, stderr: 'Option "-json" is unknown, try "ip -help".\n' },
      (probe) => probe.lookUp(address),
      /^Cannot read this host's network: "ip -json -N route get 172.16.4.1" failed: Option "-json" is unknown/,
    ],
    [
      "what is no JSON",
      { stdout: "172.16.4.1 dev eth0" },
      (probe) => probe.lookUp(address),
      /^Cannot read .*: "ip -json -N route get 172.16.4.1" printed an unknown form$/,
    ],
    [
      "neighbours that are none",
      { stdout: '[{"dst":"nobody"}]' },
      (probe) => probe.neighbours(parsePrefix("172.16.0.0/22"), "br0"),
      /^Cannot read .* printed an unknown form$/,
    ],
    [
      "a ping that may not send",
      { code: 2, stderr: "ping: socket: Operation not permitted\n" },
      (probe) => probe.ping(address),
      /^Cannot send a probe: "ping .* 172.16.4.1" failed: ping: socket: Operation not permitted$/,
    ],
    [
      "a ping of others",
      { code: 1, stderr: "ping: invalid option -- 'M'\n" },
      (probe) => probe.ping(address),
      /failed: ping: invalid option -- 'M'$/,
    ],
  ];
  for (const [name, output, act, message] of rows) {
    await t.step(name, async () => {
      await assert.rejects(act(probeOf(output).probe), (error) => {
        assert.ok(error instanceof NetError);
        assert.equal(error.code, "unavailable");
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

Deno.test("LinuxPathProbe finds no ports on an interface that is no bridge", async () => {
  const { probe } = probeOf({ code: 255, stderr: "Cannot find bridge device" });
  assert.deepEqual([...await probe.bridgePorts("macvlan0")], []);
});
