import assert from "node:assert/strict";
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
  await t.step("the use of a host arrives with its heartbeat", async () => {
    await holder.ask("ip allocate web-2");
    await lab.waitFor("the report of an address", async () => {
      const host = (await overview()).hosts
        .find(({ node }) => node.name === holder.name);
      return host?.report?.subnets[0]?.held === 1;
    });
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
