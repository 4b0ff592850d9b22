import assert from "node:assert/strict";
import { allocate, createMapLab, SUBNET_CAPACITY } from "../lab/map_lab.ts";
import { MapTab } from "../lab/map_tab.ts";
import { callSocket } from "../support/call_socket.ts";
import { waitFor } from "../support/wait_for.ts";

interface Overview {
  readonly problems?: readonly {
    readonly code: string;
    readonly node: string;
  }[];
  readonly hosts: readonly {
    readonly node: { readonly name: string };
    readonly report?: {
      readonly subnets: readonly { readonly held?: string }[];
    };
  }[];
}

Deno.test("the map shows what happens as soon as its agent knows", async (t) => {
  await using lab = await createMapLab(3);
  const [asked, near, far] = lab.hosts as [
    typeof lab.hosts[number],
    typeof lab.hosts[number],
    typeof lab.hosts[number],
  ];
  await using map = await MapTab.open(asked);
  const { tab } = map;
  const overview = () =>
    callSocket<Overview>(asked.agent.socketPath, {
      call: "ClusterService/GetOverview",
    });
  const hasProblem = (code: string, node: string) => async () =>
    (await overview()).problems?.some((problem) =>
      problem.code === code && problem.node === node
    ) ?? false;
  const lags: string[] = [];

  /** Waits until the agent knows something and the page shows it, and records the time in between. */
  async function follow(
    name: string,
    { agent, page }: {
      readonly agent: () => Promise<boolean>;
      readonly page: readonly string[];
    },
  ): Promise<void> {
    assert.notDeepEqual(await map.missing(page), [], `${name}: seen before`);
    const time = async (what: string, check: () => Promise<boolean>) => {
      await waitFor(`${name}: ${what}`, check);
      return performance.now();
    };
    const [knownMs, shownMs] = await Promise.all([
      time("known to the agent", agent),
      time(
        `shown: ${page}`,
        async () => (await map.missing(page)).length === 0,
      ),
    ]);
    lags.push(`${name}: ${Math.round(shownMs - knownMs)} ms`);
  }

  await t.step("a new container", async () => {
    await map.goTo(`host?name=${near.name}`);
    await map.shows(["web-1"]);
    const following = follow("a new container", {
      agent: async () => {
        const { allocations } = await callSocket<{
          readonly allocations?: readonly {
            readonly owner: { readonly containerId: string };
          }[];
        }>(near.agent.socketPath, { call: "IpamService/ListAllocations" });
        return allocations!.some(({ owner }) =>
          owner.containerId.includes("web-2")
        );
      },
      page: ["web-2"],
    });
    const before = new Date().toISOString();
    await near.addContainer("web-2");
    await following;
    await map.goTo(`host?name=${near.name}&at=${before}`);
    await map.shows(["Addresses, containers and events as of", "web-1"]);
    assert.deepEqual(await map.missing(["web-2"]), ["web-2"]);
    const [subnet] = await near.joined();
    await map.goTo(`space?prefix=${subnet}&at=${before}`);
    await map.shows(["1 held"]);
    await map.goTo(`space?prefix=${subnet}`);
    await map.shows(["2 held"]);
  });
  await t.step("the past, and where its records end", async () => {
    await map.goTo("events?at=2026-01-01T00:00:00Z");
    await map.shows(["No events are recorded"]);
    await map.goTo("space?at=2026-01-01T00:00:00Z");
    await map.shows(["The events go back to"]);
    await tab.page.keyboard.press("n");
    await map.shows(["Live"]);
  });
  await t.step("a full subnet", async () => {
    await map.goTo("overview");
    const full = `of ${far.name} is 100 % full`;
    const following = follow("a full subnet", {
      agent: async () => {
        const { events } = await callSocket<{
          readonly events?: readonly { readonly text: string }[];
        }>(asked.agent.socketPath, { call: "ClusterService/ListEvents" });
        return events!.some(({ text }) => text.includes(full));
      },
      page: [full],
    });
    await allocate(far, { count: SUBNET_CAPACITY - 1, name: "job" });
    await following;
  });
  await t.step("a cut path", async () => {
    await map.goTo("overview");
    const following = follow("a cut path", {
      agent: hasProblem("path-dead", near.name),
      page: [`no packet gets to ${far.name}`],
    });
    await lab.partition(near, far);
    await following;
    await map.goTo("paths");
    await map.shows(["2 dead"]);
    await lab.heal();
  });
  await t.step("a killed agent", async () => {
    await map.goTo("overview");
    const following = follow("a killed agent", {
      agent: hasProblem("unreachable", far.name),
      page: [`${far.name} sends no heartbeats`],
    });
    await far.agent.kill();
    await following;
    const { page } = tab;
    const fix = `stellar-net doctor ${far.name}`;
    await page.context().grantPermissions([
      "clipboard-read",
      "clipboard-write",
    ]);
    await page.getByRole("button", { name: `Copy: ${fix}` }).first().click();
    await waitFor(
      "the copied command",
      async () => await page.evaluate("navigator.clipboard.readText()") === fix,
    );
  });
  await t.step("without a request to anybody else, or a fault", () => {
    assert.deepEqual(tab.strangers, []);
    assert.deepEqual(tab.problems, []);
  });
  console.log(lags.join("\n"));
});
