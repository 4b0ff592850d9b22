import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import { NetnsHost } from "../support/netns_host.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

/** Plain-text listeners for programs of the host. */
const PORT = "9001";
const METRICS_PORT = "9002";

/** Asks for the health, and prints what comes, or why nothing does. */
const ATTACK = `
import socket, sys
try:
    with socket.create_connection((sys.argv[2], int(sys.argv[1])), timeout=5) as s:
        s.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n")
        print(s.recv(100).decode().split("\\r\\n")[0] or "closed")
except OSError as error:
    print("closed" if isinstance(error, ConnectionResetError) else error)
`;

/** Gives two hosts a link, and the neighbour a route to the other's loopback addresses. */
async function connectNeighbour(host: NetnsHost, neighbour: NetnsHost) {
  await host.sh(
    `ip link add eth0 type veth peer name eth0 netns ${neighbour.name}`,
    "ip address add 198.18.0.1/24 dev eth0",
    "ip link set eth0 up",
    // As the portmap plugin sets it.
    "sysctl -qw net.ipv4.conf.eth0.route_localnet=1",
  );
  await neighbour.sh(
    "ip address add 198.18.0.2/24 dev eth0",
    "ip link set eth0 up",
    "ip address flush dev lo",
    "sysctl -qw net.ipv4.conf.all.route_localnet=1",
    "ip route add 127.0.0.1/32 via 198.18.0.1 src 198.18.0.2",
  );
}

Deno.test("an agent on loopback hangs up on a neighbour that reaches it by route_localnet", async (t) => {
  const rows: readonly [args: readonly string[], outcome: RegExp][] = [
    [[], /^closed$/],
    // The attack works, and the operator has asked for it.
    [["--insecure"], /^HTTP\/1\.1 200 OK$/],
  ];
  for (const [args, outcome] of rows) {
    await t.step(args.join(" ") || "no flag", async () => {
      await using host = await NetnsHost.create();
      await using neighbour = await NetnsHost.create();
      await connectNeighbour(host, neighbour);
      await using agent = await spawnAgent({
        within: ["ip", "netns", "exec", host.name],
        args: [...args, "--metrics", `127.0.0.1:${METRICS_PORT}`],
      });
      const attack = async ({ runner }: NetnsHost, port: string) => {
        const words = ["-c", ATTACK, port, "127.0.0.1"];
        const { stdout } = await runner.run({
          program: "python3",
          args: words,
        });
        return stdout.trim();
      };
      assert.match(await attack(neighbour, String(agent.port)), outcome);
      assert.equal(await attack(neighbour, METRICS_PORT), "closed");
      assert.match(await attack(host, METRICS_PORT), /^HTTP\/1\.1 200 OK$/);
    });
  }
});

Deno.test("a container, and a neighbour that is no member", async (t) => {
  await using lab = await Lab.create({
    hosts: 2,
    startAgents: false,
    agentFlags: ({ address }) => [
      ...["--listen", `${address}:9000`, "--insecure"],
      ...["--listen", `127.0.0.1:${PORT}`],
    ],
  });
  const [host, neighbour] = [lab.host(1), lab.host(2)];
  await host.agent.start();
  const [subnet] = await host.joined();
  const container = await host.addContainer("c1");
  const attack = async (from: typeof container | typeof host, to: string) => {
    const words = ["-c", ATTACK, PORT, to];
    return (await from.must("python3", words)).trim();
  };

  await t.step("the host itself reaches its loopback port", async () => {
    assert.match(await attack(host, "127.0.0.1"), /^HTTP\/1\.1 200 OK$/);
  });
  for (const to of ["127.0.0.1", container.gateways[0]!, host.address]) {
    await t.step(`the container does not, at ${to}`, async () => {
      assert.match(await attack(container, to), /Connection refused/);
    });
  }
  await t.step("the neighbour reaches containers", async () => {
    await neighbour.ip(`route add ${subnet} via ${host.address}`);
    await lab.waitFor(
      "an answer of the container",
      () => neighbour.ping(container.address),
    );
  });
});
