import assert from "node:assert/strict";
import { toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createRpcTransport } from "../../src/api/client/client.ts";
import {
  ClusterService,
  ClusterServiceWatchResponseSchema,
} from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";

interface Overview {
  readonly verdict: string;
  readonly problems: readonly {
    readonly node: string;
    readonly code: string;
    readonly text: string;
  }[];
  readonly hosts: readonly {
    readonly node: { readonly name: string; readonly state: string };
    readonly report: {
      readonly subnets: readonly { readonly held: number }[];
      readonly routesInstalled: number;
    } | null;
  }[];
}

interface Found {
  readonly found: readonly {
    readonly kind: string;
    readonly node: string | null;
    readonly text: string;
  }[];
  readonly silentNodes: readonly string[];
}

interface AllAddresses {
  readonly allocations: readonly { readonly node: string }[];
  readonly silentNodes: readonly unknown[];
}

interface Events {
  readonly events: readonly {
    readonly kind: string;
    readonly node: string | null;
    readonly subject: string;
  }[];
}

async function eventsAt(host: LabHost): Promise<string[]> {
  const { events } = await host.ask<Events>("events --limit 1000");
  return events.map(({ kind, node, subject }) => `${kind} ${node} ${subject}`);
}

interface AllExamined {
  readonly hosts: readonly {
    readonly node: string;
    readonly problem: string | null;
    readonly checks: readonly { readonly status: string }[];
  }[];
}

/** A message of the stream, as JSON. */
interface WatchMessage {
  readonly revision: string;
  readonly snapshot?: boolean;
  readonly summary: { readonly verdict: string };
  readonly hosts: readonly {
    readonly node: { readonly name: string };
    readonly report: { readonly subnets: readonly { readonly held: string }[] };
  }[];
}

/** Follows the cluster at an agent over its socket until a message fits. */
async function watchOnce(
  host: LabHost,
  revision: string,
  fits: (message: WatchMessage) => boolean,
): Promise<WatchMessage> {
  const transport = createRpcTransport({ socketPath: host.agent.socketPath });
  const stop = new AbortController();
  const limit = setTimeout(() => stop.abort(), 120_000);
  const messages = createClient(ClusterService, transport).watch(
    { revision },
    { signal: stop.signal, timeoutMs: 0 },
  );
  try {
    for await (const message of messages) {
      const json = toJson(ClusterServiceWatchResponseSchema, message);
      const seen = json as unknown as WatchMessage;
      if (fits({ ...seen, hosts: seen.hosts ?? [] })) return seen;
    }
  } finally {
    clearTimeout(limit);
    stop.abort();
  }
  throw new Error("the watch has ended");
}

Deno.test("a host that does not host the registry answers for the whole cluster", async (t) => {
  await using lab = await Lab.create({ hosts: 3 });
  const [, asked, holder] = lab.hosts as [LabHost, LabHost, LabHost];
  const overview = () => asked.ask<Overview>("cluster");
  const find = (what: string) => asked.ask<Found>(`find ${what}`);

  await t.step("cluster lists the report of each host", async () => {
    await lab.waitFor("a report of each host with all routes", async () => {
      const { hosts } = await overview();
      return hosts.length === 3 &&
        hosts.every(({ report }) => report?.routesInstalled === 2);
    });
    const { verdict, problems } = await overview();
    // The lab's agents are started with --insecure, which is the one problem.
    assert.deepEqual(problems.map(({ code }) => code), [
      "host",
      "host",
      "host",
    ]);
    assert.ok(problems.every(({ text }) => text.startsWith("--insecure: ")));
    assert.equal(verdict, "3 problems on 3 of 3 hosts");
  });
  let address = "";
  await t.step(
    "find names the holder of an address, and the one before",
    async () => {
      const { allocation } = await holder.ask<{
        readonly allocation: {
          readonly addresses: readonly { readonly address: string }[];
        };
      }>("ip allocate web-1");
      address = allocation.addresses[0]!.address;
      for (const what of [address, "web-1"]) {
        const [match] = (await find(what)).found;
        assert.equal(match?.kind, "allocation");
        assert.equal(match?.node, holder.name);
        assert.match(match?.text ?? "", new RegExp(`web-1.* holds ${address}`));
      }
      await holder.ask("ip release web-1");
      const { found, silentNodes } = await find(address);
      assert.deepEqual(silentNodes, []);
      assert.deepEqual(found.map(({ kind, node }) => `${kind} ${node}`), [
        `subnet ${holder.name}`,
        `history ${holder.name}`,
      ]);
      const nodes = (await find(holder.name)).found;
      assert.deepEqual(nodes.map(({ kind }) => kind), ["node"]);
    },
  );
  await t.step(
    "ip list --all-nodes lists the addresses of all hosts",
    async () => {
      for (const host of lab.hosts) await host.ask("ip allocate all-1");
      const { allocations, silentNodes } = await asked.ask<AllAddresses>(
        "ip list --all-nodes",
      );
      assert.deepEqual(
        allocations.map(({ node }) => node).sort(),
        lab.hosts.map(({ name }) => name),
      );
      assert.deepEqual(silentNodes, []);
      for (const host of lab.hosts) await host.ask("ip release all-1");
    },
  );
  await t.step("find names the container with a MAC address", async () => {
    const container = await holder.addContainer("mac-1");
    const [link] = JSON.parse(await container.ip("-json link show eth0"));
    const mac: string = link.address;
    const { found } = await find(mac);
    assert.deepEqual(
      found.map(({ kind, node }) => `${kind} ${node}`),
      [`allocation ${holder.name}`],
    );
    assert.match(found[0]!.text, /mac-1/);
    // Now the host's neighbour table has it, too.
    await container.ping(container.gateways[0]!);
    const again = (await find(mac.toUpperCase())).found;
    assert.deepEqual(again, found);
    await holder.removeContainer("mac-1");
  });
  await t.step("node list shows the reports of hosts", async () => {
    const { nodes } = await asked.ask<{
      readonly nodes: readonly {
        readonly report: { readonly routesInstalled: number } | null;
      }[];
    }>("node list");
    assert.ok(nodes.every(({ report }) => report?.routesInstalled === 2));
  });
  await t.step("the use of a host arrives with its heartbeat", async () => {
    await holder.ask("ip allocate web-2");
    await lab.waitFor("the report of an address", async () => {
      const host = (await overview()).hosts
        .find(({ node }) => node.name === holder.name);
      return host?.report?.subnets[0]?.held === 1;
    });
  });
  await t.step(
    "a watch tells what changes, and goes on where it was",
    async () => {
      const first = await watchOnce(
        asked,
        "",
        ({ hosts }) => hosts.length === 3,
      );
      assert.ok(first.snapshot);
      assert.match(first.summary.verdict, /on 3 of 3 hosts$/);
      await holder.ask("ip allocate web-3");
      const next = await watchOnce(
        asked,
        first.revision,
        ({ hosts }) =>
          hosts?.some(({ node, report }) =>
            node.name === holder.name && report.subnets[0]?.held === "2"
          ) ?? false,
      );
      assert.ok(!next.snapshot);
      assert.ok(next.hosts.length < 3);
      await holder.ask("ip release web-3");
    },
  );
  await t.step("doctor --all lets every host examine itself", async () => {
    const { hosts } = await asked.ask<AllExamined>("doctor --all");
    assert.deepEqual(
      hosts.map(({ node, problem, checks }) => [
        node,
        problem,
        checks.filter(({ status }) => status === "failed"),
      ]),
      lab.hosts.map(({ name }) => [name, null, []]),
    );
    assert.ok(hosts.every(({ checks }) => checks.length > 10));
    // Somebody takes a route over, which the agent does not touch.
    const [subnet] = await asked.joined();
    await holder.ip(`route replace blackhole ${subnet}`);
    const { stdout, code } = await asked.exec("stellar-net", [
      "doctor",
      "--all",
    ]);
    assert.equal(code, 1);
    assert.match(
      stdout,
      new RegExp(`^FAILED +${holder.name} +route`, "m"),
    );
    assert.match(stdout, new RegExp(`^(ok|warning) +${asked.name} `, "m"));
    const conflict = `route in conflict ${holder.name} route-conflict`;
    await lab.waitFor(
      "the event of the conflict",
      async () => (await eventsAt(asked)).includes(conflict),
    );
    await holder.ip(`route del blackhole ${subnet}`);
    const repaired = `route repaired ${holder.name} route-conflict`;
    await lab.waitFor(
      "the event of its end",
      async () => (await eventsAt(asked)).includes(repaired),
    );
  });
  await t.step("a killed host is a problem, and an event", async () => {
    await holder.agent.kill();
    await lab.waitFor("the verdict to name the dead host", async () => {
      const { problems } = await overview();
      return problems.some(({ node, code }) =>
        node === holder.name && code === "unreachable"
      );
    });
    const event = `unreachable ${holder.name} ${holder.name}`;
    await lab.waitFor(
      "the event of its silence",
      async () => (await eventsAt(asked)).includes(event),
    );
    const { silentNodes } = await find(address);
    assert.deepEqual(silentNodes, [holder.name]);
  });
  await t.step("its return is one, too", async () => {
    await holder.agent.start();
    await lab.waitFor("the event of its return", async () => {
      const events = await eventsAt(asked);
      return events.includes(`back ${holder.name} ${holder.name}`) &&
        events.includes(`restarted ${holder.name} agent`);
    });
    const events = await eventsAt(asked);
    for (const { name } of [asked, holder]) {
      assert.ok(events.includes(`joined ${name} ${name}`));
    }
  });
});
