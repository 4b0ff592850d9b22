import assert from "node:assert/strict";
import { allDone } from "../support/all_done.ts";
import { clusterFlags, Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";

interface Event {
  readonly at: string;
  readonly kind: string;
  readonly node: string | null;
  readonly subject: string;
  readonly text: string;
  readonly by: string | null;
}

interface Found {
  readonly found: readonly {
    readonly kind: string;
    readonly node: string | null;
    readonly text: string;
    readonly since: string | null;
    readonly until: string | null;
  }[];
  readonly silentNodes: readonly string[];
}

interface Overview {
  readonly problems: readonly {
    readonly node: string;
    readonly code: string;
    readonly text: string;
  }[];
  readonly hosts: readonly {
    readonly node: { readonly name: string };
    readonly report: {
      readonly subnets: readonly {
        readonly held: number;
        readonly capacity: number;
      }[];
    } | null;
  }[];
}

/** Addresses of a subnet of the lab. */
const CAPACITY = 13;
/** Reach 80 % of these. */
const MANY = 11;

async function allocate(host: LabHost, id: string): Promise<string> {
  const { allocation } = await host.ask<{
    readonly allocation: {
      readonly addresses: readonly { readonly address: string }[];
    };
  }>(`ip allocate ${id}`);
  return allocation.addresses[0]!.address;
}

Deno.test("a host without the registry answers for eight hosts, and events tell what happened in a night", async (t) => {
  await using lab = await Lab.create({
    hosts: 8,
    agentFlags: (host) => [
      ...clusterFlags(host),
      ...host.number === 1
        ? ["--network", "172.16.0.0/16", "--subnet-prefix", "28"]
        : [],
    ],
  });
  const [registry, asked, holder, killed, cut, left, flushed, removed] = lab
    .hosts as [
      ...[LabHost, LabHost, LabHost, LabHost],
      ...[LabHost, LabHost, LabHost, LabHost],
    ];
  const events = async (words = ""): Promise<readonly Event[]> =>
    (await asked.ask<{ readonly events: readonly Event[] }>(
      `events --limit 1000${words}`,
    )).events;
  const find = (what: string) => asked.ask<Found>(`find ${what}`);
  const overview = () => asked.ask<Overview>("cluster");
  /** The only event of a kind on a host, once it is there. */
  const eventOf = async (kind: string, node: string, subject?: string) => {
    let found: readonly Event[] = [];
    await lab.waitFor(`${kind} of ${node}`, async () => {
      found = (await events()).filter((event) =>
        event.kind === kind && (event.node ?? "") === node &&
        (subject === undefined || event.subject === subject)
      );
      return found.length > 0;
    });
    const times = found.map(({ at, text }) => `${at} ${text}`).join("\n");
    assert.equal(found.length, 1, `${kind} of ${node}, once: ${times}`);
    return found[0]!;
  };
  const startedAt = Date.now();
  let first = "";

  await t.step("each question has one command", async (t) => {
    first = await allocate(holder, "web-1");
    await t.step("who has an address", async () => {
      const [match] = (await find(first)).found;
      assert.equal(match?.node, holder.name);
      assert.match(match?.text ?? "", /web-1/);
    });
    await t.step("which hosts are nearly full", async () => {
      const ids = Array.from({ length: MANY }, (_, i) => `many-${i}`);
      await allDone(ids.map((id) => allocate(left, id)));
      await lab.waitFor("the use to be reported", async () => {
        const { hosts } = await overview();
        const full = hosts.filter(({ report }) =>
          report?.subnets.some(({ held, capacity }) =>
            capacity === CAPACITY && held / capacity >= 0.8
          )
        );
        return full.map(({ node }) => node.name).join() === left.name;
      });
    });
    await t.step("which path is bad", async () => {
      await lab.partition(left, flushed);
      await lab.waitFor("the path to be a problem", async () => {
        const { problems } = await overview();
        const bad = problems.filter(({ code }) => code === "path-dead");
        return bad.map(({ node }) => node).sort().join() ===
          [left.name, flushed.name].join();
      });
      await lab.heal();
      await lab.waitFor("the path to be well", async () => {
        const { problems } = await overview();
        return !problems.some(({ code }) => code === "path-dead");
      });
    });
    await t.step("what happened lately", async () => {
      const kinds = new Set((await events(" --since 1h")).map((e) => e.kind));
      for (const kind of ["joined", "filling up", "path dead", "path alive"]) {
        assert.ok(kinds.has(kind), kind);
      }
    });
  });

  let second = "";
  await t.step("the night's faults come and go", async () => {
    await registry.ask("route add 192.0.2.0/24 198.18.0.1");
    await holder.ask("ip release web-1");
    await holder.ask(`ip allocate web-2 --address ${first}`);
    second = await allocate(asked, "db-1");
    const [others] = await asked.joined();
    // Somebody takes a route over; somebody flushes all of them elsewhere.
    await left.ip(`route replace blackhole ${others}`);
    await lab.waitFor(
      "the first reading of the routes",
      async () => (await flushed.routes()).length >= 7,
    );
    await flushed.ip("route flush proto 83");
    await allDone([killed, removed].map(async ({ agent }) => {
      await agent.kill();
    }));
    await cut.unplug();
    // While it is cut off, its kernel loses a route to somebody else.
    await cut.ip(`route replace blackhole ${others}`);
    await eventOf("unreachable", killed.name);
    await eventOf("unreachable", cut.name);
    await eventOf("unreachable", removed.name);
    await registry.ask(`node remove ${removed.name}`);
    await eventOf("route in conflict", left.name);
    await left.ip(`route del blackhole ${others}`);
    await cut.ip(`route del blackhole ${others}`);
    await cut.plug();
    await killed.agent.start();
    await eventOf("back", killed.name);
    await eventOf("back", cut.name);
  });

  await t.step(
    "ten questions are answered by events, find and history",
    async (t) => {
      const atMs = ({ at }: Event) => Date.parse(at);
      await t.step("1: who removed a host, and which?", async () => {
        const event = await eventOf("left", removed.name);
        assert.equal(event.by, "socket");
        assert.ok(atMs(event) >= startedAt);
      });
      await t.step("2: what became of its subnet?", async () => {
        const event = await eventOf("subnet returned", removed.name);
        assert.match(event.subject, /^172\.16\.\d+\.\d+\/28$/);
        const { found } = await find(event.subject);
        assert.match(found[0]?.text ?? "", /is released/);
      });
      await t.step("3: who added the extra route?", async () => {
        const event = await eventOf("route added", "", "192.0.2.0/24");
        assert.equal(event.by, "socket");
      });
      await t.step("4: whose agent died and was started again?", async () => {
        const restarted = await eventOf("restarted", killed.name, "agent");
        const silent = await eventOf("unreachable", killed.name);
        assert.ok(atMs(restarted) > atMs(silent));
      });
      await t.step("5: how long was it silent?", async () => {
        const from = await eventOf("unreachable", killed.name);
        const until = await eventOf("back", killed.name);
        assert.ok(atMs(until) > atMs(from));
      });
      await t.step(
        "6: when did the host that was cut off lose the registry, by its own clock?",
        async () => {
          const lost = await eventOf("registry lost", cut.name);
          const found = await eventOf("registry found", cut.name);
          const back = await eventOf("back", cut.name);
          // It could tell only once it was back.
          assert.ok(atMs(lost) < atMs(back));
          assert.ok(atMs(lost) < atMs(found));
        },
      );
      await t.step("7: what went wrong there meanwhile?", async () => {
        const conflict = await eventOf("route in conflict", cut.name);
        assert.ok(atMs(conflict) < atMs(await eventOf("back", cut.name)));
        await eventOf("route repaired", cut.name, "route-conflict");
      });
      await t.step(
        "8: whose routes did somebody flush, and whose were taken over?",
        async () => {
          const drift = await eventOf("route repaired", flushed.name, "drift");
          assert.match(drift.text, /has put \d+ routes right/);
          await eventOf("route in conflict", left.name, "route-conflict");
          await eventOf("route repaired", left.name, "route-conflict");
        },
      );
      await t.step("9: which subnet was nearly full?", async () => {
        const event = await eventOf("filling up", left.name);
        assert.match(event.text, /is 80 % full/);
      });
      await t.step(
        "10: who had an address before, and who has it now?",
        async () => {
          const { found, silentNodes } = await find(first);
          assert.deepEqual(silentNodes, []);
          assert.deepEqual(
            found.filter(({ kind }) => kind !== "subnet")
              .map(({ kind, text }) => `${kind} ${text.match(/web-\d/)?.[0]}`),
            ["allocation web-2", "history web-1"],
          );
          const { records } = await asked.ask<{
            readonly records: readonly {
              readonly owner: { readonly containerId: string };
              readonly releasedAt: string | null;
            }[];
          }>(`ip history --address ${second}`);
          assert.deepEqual(
            records.map((
              { owner, releasedAt },
            ) => [owner.containerId, releasedAt]),
            [["db-1", null]],
          );
        },
      );
    },
  );
});
