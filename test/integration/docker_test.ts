import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { ProcedureRunner, readProcedure } from "../lab/procedure.ts";
import { allDone } from "../support/all_done.ts";
import { Containerd } from "../support/containerd.ts";
import { DOCKER, Docker, IMAGE } from "../support/docker.ts";
import { waitFor } from "../support/wait_for.ts";

/** Name of the network in Docker. */
const NETWORK = "stellar";
/** Tells each client its connections, with the client's own address. */
const SERVE = ["/bin/busybox", "nc", "-ll", "-p", "7000"]
  .concat("-e", "/bin/busybox", "netstat", "-tn");

interface Listed {
  readonly allocations: readonly {
    readonly owner: {
      readonly network: string;
      readonly containerId: string;
      readonly interfaceName: string;
    };
    readonly addresses: readonly { readonly address: string }[];
  }[];
}

/** Where Docker looks for plugins, and its socket, as they are on a host of a lab. */
function pathsOf({ dir }: LabHost) {
  return { plugins: join(dir, "p"), api: join(dir, "docker.sock") };
}

/** A line of the page as it is typed in a lab: both families, short waits, other paths. */
function typed(line: string, host: LabHost): string {
  const { plugins, api } = pathsOf(host);
  const networks = line.includes("--join")
    ? ""
    : " --network 172.16.0.0/12 --network fd00:1::/48";
  return line
    .replace(
      / --docker\b/,
      `${networks} --advertise ${host.address} --advertise ${host.address6}` +
        ` --leak-interval 1s --leak-grace 1s --docker` +
        ` --docker-plugin ${plugins}/stellar-net.sock --docker-api ${api}`,
    )
    .replace(/^stellar-net docker.*/, `$& --docker-api ${api}`)
    .replace(/^docker /, `${DOCKER} -H unix://${api} `);
}

/** A host with Docker. */
class DockerOnHost {
  readonly host: LabHost;
  readonly docker: Docker;

  constructor(host: LabHost, docker: Docker) {
    this.host = host;
    this.docker = docker;
  }

  static async start(
    host: LabHost,
    flags: readonly string[],
  ): Promise<DockerOnHost> {
    const docker = await Docker.start({
      ...{ netns: host.netns, apiDir: host.dir },
      pluginDir: pathsOf(host).plugins,
    }, flags);
    // As Docker does where it is the first to switch forwarding on.
    await host.must("iptables", ["-P", "FORWARD", "DROP"]);
    return new DockerOnHost(host, docker);
  }

  cli(...words: readonly string[]): Promise<string> {
    const api = ["--docker-api", this.docker.socketPath];
    return this.host.must("stellar-net", ["docker", ...words, ...api]);
  }

  /** Addresses in the ledger by container, as Docker's containers have them. */
  async ledger(): Promise<Record<string, string[]>> {
    const { allocations } = await this.host.ask<Listed>("ip list");
    const held: Record<string, string[]> = {};
    for (const { owner, addresses } of allocations) {
      // CNI's network has the same name.
      if (!owner.interfaceName.startsWith("ipv")) continue;
      assert.equal(owner.network, NETWORK);
      (held[owner.containerId] ??= []).push(
        ...addresses.map(({ address }) => address),
      );
    }
    return held;
  }

  /** The same, as Docker says. */
  async containers(): Promise<Record<string, string[]>> {
    const text = await this.docker.must("network", "inspect", NETWORK);
    const [{ Containers }] = JSON.parse(text) as [{
      Containers: Record<
        string,
        { Name: string; IPv4Address: string; IPv6Address: string }
      >;
    }];
    return Object.fromEntries(
      Object.values(Containers).map(({ Name, IPv4Address, IPv6Address }) => [
        Name,
        [IPv4Address, IPv6Address].map((text) => text.split("/")[0]!),
      ]),
    );
  }

  /** Waits until the ledger has exactly what Docker has, by name. */
  async agrees(): Promise<void> {
    let seen: unknown;
    await waitFor("the ledger to agree with Docker", async () => {
      const [ledger, containers] = [
        await this.ledger(),
        await this.containers(),
      ];
      seen = { ledger, containers };
      assert.deepEqual(ledger, containers);
      return true;
    }, { everyMs: 200 }).catch((cause) => {
      throw new Error(JSON.stringify(seen), { cause });
    });
  }

  async pings(name: string, ...targets: readonly string[]): Promise<void> {
    for (const target of targets) {
      const command = target.includes(":") ? "ping6" : "ping";
      const ping = [command, "-c", "1", "-W", "5", target];
      await waitFor(
        `${target} to answer ${name}`,
        async () => (await this.docker.exec(name, ...ping)).code === 0,
      );
    }
  }
}

Deno.test("containers of Docker on two hosts share one ledger with containerd, and reach each other", async (t) => {
  await using lab = await Lab.create({ hosts: 2, startAgents: false });
  const [first, second] = [lab.host(1), lab.host(2)];
  const a = await DockerOnHost.start(first, []);
  await using _a = a.docker;
  const b = await DockerOnHost.start(second, ["--live-restore"]);
  await using _b = b.docker;

  await t.step("docs/runtimes.md leads to two hosts that ping", async () => {
    const steps = await readProcedure("docs/runtimes.md", "Two Docker hosts");
    const runner = new ProcedureRunner(lab.hosts);
    for (const { where, line } of steps) {
      const host = lab.hosts.find(({ name }) => name === where)!;
      await runner.follow([{ where, line: typed(line, host) }]);
    }
  });
  await using containerd = await Containerd.start(
    first,
    JSON.stringify(await first.conflist()),
  );

  await t.step("docker install leaves a good network alone", async () => {
    for (const each of [a, b]) {
      assert.match(await each.cli("install"), /is there already/);
    }
    await a.docker.must("rm", "-f", "web1");
    await b.docker.must("rm", "-f", "web2");
  });

  await containerd.runDetached("cd1");
  await a.docker.run("a1", NETWORK);
  await a.docker.must(
    ...["run", "-d", "--name", "a2", "--network", NETWORK],
    ...["--ip", "172.16.0.200", "-p", "8080:7000", IMAGE, ...SERVE],
  );
  await b.docker.run("b1", NETWORK);
  const addressesOf = async (on: DockerOnHost, name: string) =>
    (await on.containers())[name]!;

  await t.step(
    "each has addresses of its host's subnets, by its name",
    async () => {
      await a.agrees();
      await b.agrees();
      assert.deepEqual((await a.containers()).a2?.[0], "172.16.0.200");
      const [v4, v6] = await addressesOf(b, "b1");
      assert.match(v4!, /^172\.16\.4\./);
      assert.match(v6!, /^fd00:1:0:1:/);
      const { found } = await second.ask<{ found: { text: string }[] }>(
        "find a2",
      );
      assert.match(JSON.stringify(found), /172\.16\.0\.200/);
    },
  );

  await t.step("all reach each other over both families", async () => {
    const [a1, b1] = [await addressesOf(a, "a1"), await addressesOf(b, "b1")];
    await a.pings("a1", ...b1);
    await b.pings("b1", ...a1, "172.16.0.200");
    const { allocations } = await first.ask<Listed>("ip list");
    const cd1 = allocations.find(({ owner }) =>
      owner.containerId.endsWith("cd1")
    )!;
    const targets = cd1.addresses.map(({ address }) => address);
    await a.pings("a1", ...targets);
    await b.pings("b1", ...targets);
    const ping = ["ping", "-c", "3", "-W", "5", b1[0]!];
    assert.equal((await containerd.exec("cd1", ping)).code, 0);
  });

  await t.step("a connection has the container's own address", async () => {
    const [own] = await addressesOf(b, "b1");
    const call = ["nc", "-w", "20", "172.16.0.200", "7000"];
    const { stdout } = await b.docker.exec("b1", ...call);
    assert.ok(stdout.includes(`:${own}:`), stdout);
  });

  await t.step("a published port serves other hosts", async () => {
    const call = ["nc", "-w", "20", first.address, "8080"];
    const { stdout } = await second.exec("busybox", call);
    assert.ok(stdout.includes(`:${second.address}:`), stdout);
  });

  await t.step("a rule in DOCKER-USER stays in force", async () => {
    const [own] = await addressesOf(b, "b1");
    const rule = ["DOCKER-USER", "-s", own!, "-j", "DROP"];
    await first.must("iptables", ["-I", ...rule]);
    const ping = ["ping", "-c", "1", "-W", "2", "172.16.0.200"];
    assert.notEqual((await b.docker.exec("b1", ...ping)).code, 0);
    await first.must("iptables", ["-D", ...rule]);
    await b.pings("b1", "172.16.0.200");
  });

  await t.step("ten containers at once get ten addresses", async () => {
    const names = Array.from({ length: 10 }, (_, i) => `many${i}`);
    await allDone(names.map((name) => a.docker.run(name, NETWORK)));
    const all = Object.values(await a.containers()).flat();
    assert.equal(new Set(all).size, 2 * (names.length + 2));
    await a.agrees();
    await a.docker.must("rm", "-f", ...names);
    await a.agrees();
  });

  await t.step("what is taken is refused, with the holder's name", async () => {
    const { code, stderr } = await a.docker.docker([
      ...["run", "--rm", "--network", NETWORK, "--ip", "172.16.0.200"],
      ...[IMAGE, "/bin/busybox", "true"],
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, /172\.16\.0\.200.*held by "a2" \(ipv4 in stellar\)/);
  });

  await t.step(
    "a container that Docker restarts has what the ledger says",
    async () => {
      await a.docker.must("restart", "-t", "0", "a1");
      await a.agrees();
      await a.pings("a1", ...await addressesOf(b, "b1"));
    },
  );

  await t.step(
    "while the agent is down, run fails and says why; afterwards what Docker forgot is released",
    async () => {
      await first.agent.kill();
      const running = a.docker.docker([
        ...["run", "--rm", "--network", NETWORK, IMAGE, "/bin/busybox", "true"],
      ]);
      await a.docker.must("rm", "-f", "a1");
      const run = await running;
      assert.notEqual(run.code, 0);
      assert.match(run.stderr, /stellar-net.*(?:refused|no such file)/);
      await first.agent.start();
      assert.ok("a1" in await a.ledger());
      await a.agrees();
      assert.deepEqual(Object.keys(await a.ledger()), ["a2"]);
      await a.docker.run("a1", NETWORK);
    },
  );

  await t.step(
    "after kill -9 of Docker its containers get addresses again",
    async () => {
      await a.docker.killDockerd();
      await a.docker.startDockerd();
      await a.docker.must("start", "a1", "a2");
      await a.agrees();
      assert.deepEqual((await a.containers()).a2?.[0], "172.16.0.200");
      await a.pings("a1", ...await addressesOf(b, "b1"));
    },
  );

  await t.step(
    "with live restore containers keep their addresses through kill -9 of both",
    async () => {
      const before = await b.containers();
      await b.docker.killDockerd();
      await second.agent.kill();
      await second.agent.start();
      await b.docker.startDockerd();
      assert.deepEqual(await b.containers(), before);
      await b.agrees();
      await b.pings("b1", ...await addressesOf(a, "a1"));
    },
  );

  await t.step(
    "a container that outlives Docker's state keeps its address, until it is gone",
    async () => {
      const before = await b.ledger();
      await b.docker.killDockerd();
      await b.docker.deleteNetworkState();
      await b.docker.startDockerd();
      await b.cli("install");
      assert.deepEqual(await b.containers(), {});
      await b.docker.run("b2", NETWORK);
      const given = (await b.containers()).b2!;
      assert.ok(!Object.values(before).flat().some((x) => given.includes(x)));
      assert.deepEqual((await b.ledger()).b1, before.b1);
      await b.docker.must("rm", "-f", "b1");
      await b.docker.endNamespaces();
      await b.docker.must("rm", "-f", "b2");
      await b.agrees();
    },
  );

  await t.step(
    "doctor finds a network that masquerades, and its command makes it again",
    async () => {
      await b.cli("uninstall");
      const create = [
        ...["network", "create", "--ipam-driver", "stellar-net"],
        ...["-o", "com.docker.network.bridge.name=stellar0"],
      ];
      const { code, stderr } = await b.docker.docker([...create, NETWORK]);
      assert.notEqual(code, 0);
      const [, subnet] = /give (--subnet \S+)$/m.exec(stderr)!;
      await b.docker.must(...create, ...subnet!.split(" "), NETWORK);
      const found = async () => {
        const { stdout } = await second.exec("stellar-net", [
          "doctor",
          "--json",
        ]);
        const { checks } = JSON.parse(stdout) as {
          readonly checks: readonly {
            readonly name: string;
            readonly found: string;
            readonly command: string | null;
          }[];
        };
        return checks.filter(({ name }) => name === "docker");
      };
      const [fault] = await found();
      assert.equal(fault?.found, "network stellar: it masquerades");
      const api = b.docker.socketPath;
      const line = fault.command!
        .replace(/^docker /, `${DOCKER} -H unix://${api} `);
      await second.must("sh", ["-ec", line]);
      assert.deepEqual((await found()).map((check) => check.found), [
        "network stellar is as this node needs it",
      ]);
    },
  );

  await t.step(
    "docker uninstall removes the network once it is empty",
    async () => {
      await assert.rejects(
        a.cli("uninstall"),
        /containers use it \(a[12], a[12]\)/,
      );
      await a.docker.must("rm", "-f", "a1", "a2");
      assert.equal(await a.cli("uninstall"), "Removed network stellar\n");
      assert.deepEqual(await a.ledger(), {});
    },
  );
});
