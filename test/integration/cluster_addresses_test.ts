import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { BY_EVENT_MS } from "../lab/mending.ts";
import { waitFor } from "../support/wait_for.ts";

const OTHER = "198.18.0.77";

/** The flags of the lab, with the advertised address left to the agent. */
function flagsOf(host: LabHost): string[] {
  const flags = [...host.agent.flags];
  for (let at; (at = flags.indexOf("--advertise")) >= 0;) flags.splice(at, 2);
  return flags;
}

/** The next hop of a host's routes to another one. */
async function nextHop(from: LabHost, subnet: string): Promise<string> {
  const found = (await from.routes())
    .find((line) => line.startsWith(`${subnet} via `));
  return found?.split(" ")[2] ?? "none";
}

Deno.test("the advertised address stays while the host has it, and peers follow a new one", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [registry, peer, host] = lab.hosts as [LabHost, LabHost, LabHost];
  for (const each of lab.hosts) each.agent.flags = flagsOf(each);
  // 0.0.0.0: the agent is reached at whatever address it has.
  host.agent.flags = host.agent.flags
    .map((word) => word.replace(`${host.address}:9000`, "0.0.0.0:9000"));
  await registry.agent.start();
  await peer.agent.start();
  await host.agent.start();
  const [subnet = ""] = (await host.joined()).filter((s) => s.includes("."));
  const seen = () => nextHop(peer, subnet);
  await waitFor("the route", async () => await seen() === host.address);

  await t.step(
    "a default route over a second uplink, and its end",
    async () => {
      await host.must("sh", [
        "-c",
        "ip link add up1 type veth peer name far1 && ip address add 198.19.5.3/24 dev up1 && ip link set up1 up && ip link set far1 up && ip route add default via 198.19.5.1",
      ]);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.equal(await seen(), host.address);
      await host.must("ip", ["route", "delete", "default"]);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.equal(await seen(), host.address);
    },
  );

  await t.step("a floating address", async () => {
    await host.must("ip", ["address", "add", "198.18.0.200/32", "dev", "eth0"]);
    await host.agent.kill("SIGTERM");
    await host.agent.start();
    await host.joined();
    assert.equal(await seen(), host.address);
  });

  await t.step("another address of the uplink", async () => {
    const startedAt = performance.now();
    await host.must("sh", [
      "-c",
      `ip address add ${OTHER}/24 dev eth0; ip address delete ${host.address}/24 dev eth0; ip address replace ${OTHER}/24 dev eth0`,
    ]);
    await waitFor("the new next hop", async () => await seen() === OTHER, {
      everyMs: 20,
    });
    const ms = performance.now() - startedAt;
    console.log(`peers follow a new address after ${Math.round(ms)} ms`);
    assert.ok(ms < BY_EVENT_MS, `${Math.round(ms)} ms`);
  });
});

Deno.test("a host that boots before its uplink has an address serves containers, and listens when it has one", async () => {
  await using lab = await Lab.create({ hosts: 2 });
  const host = lab.host(2);
  await host.agent.kill("SIGTERM");
  await host.must("ip", ["address", "flush", "dev", "eth0"]);
  await host.agent.start();
  const status = await host.status();
  assert.ok(status.subnets.length > 0);
  await host.addContainer("c1");
  const { stdout } = await host.exec("stellar-net", ["status"]);
  assert.match(
    stdout,
    /--listen: no interface of this host has 198\.18\.0\.12/,
  );

  await host.must("ip", [
    "address",
    "add",
    `${host.address}/24`,
    "dev",
    "eth0",
  ]);
  await host.linkUp();
  await waitFor("the listener", async () => {
    const { code } = await lab.host(1).exec("sh", [
      ...["-c", `exec 3<>/dev/tcp/${host.address}/9000`],
    ]);
    if (code === 0) return true;
    const bash = await lab.host(1).exec("bash", [
      ...["-c", `exec 3<>/dev/tcp/${host.address}/9000`],
    ]);
    return bash.code === 0;
  });
  const shown = await waitFor("status to show the listener", async () => {
    const { stdout } = await host.exec("stellar-net", ["status"]);
    return /^ +198\.18\.0\.12:9000$/m.test(stdout) ? stdout : "";
  });
  assert.doesNotMatch(shown, /--listen: no interface/);
  assert.match(shown, /--insecure: anyone who reaches 198\.18\.0\.12:9000/);
});
