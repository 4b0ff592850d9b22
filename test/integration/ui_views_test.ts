import assert from "node:assert/strict";
import type { LabHost } from "../lab/lab_host.ts";
import { createMapLab } from "../lab/map_lab.ts";
import { MapTab, VIEWS } from "../lab/map_tab.ts";
import type { Tab } from "../support/chromium.ts";

interface Overview {
  readonly verdict: string;
  readonly problems: readonly {
    readonly code: string;
    readonly text: string;
    readonly fix: string | null;
  }[];
  readonly networks: readonly { readonly network: { readonly cidr: string } }[];
}

interface Found {
  readonly found: readonly { readonly text: string }[];
}

interface Allocations {
  readonly allocations: readonly {
    readonly owner: { readonly containerId: string };
    readonly addresses: readonly { readonly address: string }[];
  }[];
}

interface Paths {
  readonly paths: readonly {
    readonly peer: string;
    readonly state: string;
  }[];
}

interface Routes {
  readonly routes: readonly {
    readonly cidr: string;
    readonly target: string;
    readonly state: string;
    readonly why: string | null;
  }[];
}

interface Events {
  readonly events: readonly { readonly kind: string; readonly text: string }[];
}

const LOOKS = [["light", 1280], ["dark", 360]] as const;

const overviewOf = (host: LabHost) => host.ask<Overview>("cluster");

/** Asserts that the page asked nobody else, and has no fault in the console. */
function assertClean({ strangers, problems }: Tab): void {
  assert.deepEqual(strangers, []);
  assert.deepEqual(problems, []);
}

for (const size of [3, 8]) {
  Deno.test(`the map of ${size} hosts shows the same as the command line`, async (t) => {
    await using lab = await createMapLab(size);
    // The first host has the registry, the second has joined it.
    const asked = lab.host(size === 3 ? 1 : 2);
    const last = lab.hosts.at(-1)!;
    const names = lab.hosts.map(({ name }) => name);
    await using map = await MapTab.open(asked);
    const { tab } = map;
    const { page } = tab;

    await t.step("overview: the verdict, networks and hosts", async () => {
      await map.agrees(async () => {
        const { verdict, networks } = await overviewOf(asked);
        const cidrs = networks.map(({ network }) => network.cidr);
        return [verdict, ...names, ...cidrs];
      });
    });
    await t.step("overview: problems, with the fixes of doctor", async () => {
      const [subnet] = await asked.joined();
      // Somebody takes a route over, which the agent does not touch.
      await last.ip(`route replace blackhole ${subnet}`);
      await map.agrees(async () => {
        const { verdict, problems } = await overviewOf(asked);
        const texts = problems.flatMap(({ text, fix }) => [text, fix ?? ""]);
        // Problems of one kind are folded up.
        await page.locator("details").evaluateAll((all) =>
          all.forEach((one) => one.setAttribute("open", ""))
        );
        const isSeen = problems.some(({ code }) => code === "route-conflict");
        return isSeen ? [verdict, ...texts] : [];
      });
      // The host's own view has the reason for the missing route.
      await map.goTo(`host?name=${last.name}`);
      await map.agrees(async () => {
        const { routes } = await last.ask<Routes>("route list");
        const blocked = routes.filter(({ state }) => state !== "installed");
        return blocked.flatMap(({ cidr, target, why }) => [
          ...[cidr, target, why ?? ""],
        ]);
      });
      await map.goTo("overview");
      await last.ip(`route del blackhole ${subnet}`);
      await map.agrees(async () => {
        const { verdict, problems } = await overviewOf(asked);
        const isOver = problems.every(({ code }) => code !== "route-conflict");
        return isOver ? [verdict] : [];
      });
    });
    await t.step("host: its subnets, containers and routes", async () => {
      for (const host of new Set([asked, last])) {
        await map.goTo(`host?name=${host.name}`);
        const { routes } = await host.ask<Routes>("route list");
        const { addresses } = host.container("web-1");
        await map.shows([
          ...await host.joined(),
          ...[...addresses, "web-1"],
          ...routes.map(({ cidr }) => cidr),
        ]);
      }
    });
    await t.step(
      "paths: each pair of hosts, as the hosts see them",
      async () => {
        await map.goTo("paths");
        await map.agrees(async () => {
          const answers = await Promise.all(
            lab.hosts.map((host) => host.ask<Paths>("status")),
          );
          const paths = answers.flatMap(({ paths }) => paths);
          assert.equal(paths.length, size * (size - 1));
          const alive = paths.filter(({ state }) => state === "alive").length;
          return [`${alive} alive`, ...paths.map(({ peer }) => peer)];
        });
        // One of them, with its curves since the page saw it.
        const { name: peer } = last;
        await map.goTo(`paths?from=${asked.name}&to=${peer}`);
        await map.shows([asked.name, peer, "Round trip", "Loss"]);
        await page.locator(".uplot canvas").first().waitFor();
      },
    );
    await t.step("events: the same, the latest first", async () => {
      await map.goTo("events");
      let events: Events["events"] = [];
      await map.agrees(async () => {
        ({ events } = await asked.ask<Events>("events --limit 20"));
        return events.map(({ text }) => text);
      });
      const text = await tab.text();
      let at = 0;
      for (const event of events) {
        const found = text.indexOf(event.text, at);
        assert.notEqual(found, -1, event.text);
        at = found + event.text.length;
      }
    });
    await t.step("space: the network, and down to an address", async () => {
      const { networks } = await overviewOf(asked);
      await map.goTo(`space?prefix=${networks[0]!.network.cidr}`);
      await map.shows([networks[0]!.network.cidr, `${size} owned`]);
      const [subnet] = await last.joined();
      await map.goTo(`space?prefix=${subnet}`);
      const { allocations } = await last.ask<Allocations>("ip list");
      await map.shows([subnet!, last.name, `${allocations.length} held`]);
      const { address } = last.container("web-1");
      await map.goTo(`space?prefix=${address}`);
      await map.shows([address, last.name]);
    });
    await t.step("search: from anywhere, by the key /", async () => {
      const { allocations } = await last.ask<Allocations>("ip list");
      const { owner, addresses } = allocations[0]!;
      const words = [addresses[0]!.address, owner.containerId, last.name];
      for (const what of words) {
        await map.goTo("overview");
        await page.getByRole("heading", { level: 1 }).first().waitFor();
        await page.keyboard.press("/");
        await page.keyboard.type(what);
        await page.keyboard.press("Enter");
        const { found } = await asked.ask<Found>(`find ${what}`);
        await map.shows(found.map(({ text }) => text));
      }
    });
    assertClean(tab);
    // The number of hosts makes no difference to the rest.
    if (size > 3) return;
    await t.step(
      "the keyboard does everything that a pointer does",
      async () => {
        await map.goTo("overview");
        await page.getByRole("link", { name: /^host1/ }).first().waitFor();
        await page.keyboard.press("?");
        const help = page.getByRole("dialog");
        await help.getByText("move in a map").waitFor();
        await page.keyboard.press("Escape");
        await help.waitFor({ state: "hidden" });
        await page.keyboard.press("2");
        await page.waitForURL(/#\/space/);
        await page.keyboard.press("1");
        await page.waitForURL(/#\/overview/);
        // From the first host to the last, and into it.
        await page.getByRole("group", { name: /^Hosts/ }).getByRole("link")
          .first().focus();
        await page.keyboard.press("End");
        await page.keyboard.press("Enter");
        await page.waitForURL(`**/#/host?name=${last.name}`);
        await map.shows(await last.joined());
      },
    );
    await t.step("the map of addresses opens and closes by keys", async () => {
      const [network] = (await overviewOf(asked)).networks;
      const { cidr } = network!.network;
      await map.goTo(`space?prefix=${cidr}`);
      await page.getByRole("application").or(page.getByRole("grid")).first()
        .focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("Enter");
      const [first] = (await Promise.all(lab.hosts.map((host) =>
        host.joined()
      )))
        .flat().sort();
      await page.waitForURL((url) => url.hash === `#/space?prefix=${first}`);
      await page.keyboard.press("Backspace");
      // The cell that it comes from is selected.
      await page.waitForURL((url) =>
        url.hash === `#/space?prefix=${cidr}&cell=${first}`
      );
    });
    /** What axe finds, in light and in dark colours, on a wide and on a narrow screen. */
    const examine = async (places: readonly string[]) => {
      const found: string[] = [];
      for (const [colorScheme, width] of LOOKS) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize({ width, height: 800 });
        for (const place of places) {
          await map.goTo(place);
          await page.getByRole("heading", { level: 1 }).first().waitFor();
          for (const { rule, elements } of await tab.seriousViolations()) {
            found.push(`${place} ${colorScheme}: ${rule}: ${elements[0]}`);
          }
        }
      }
      return found;
    };
    await t.step("axe finds nothing serious in any view", async () => {
      const [subnet] = await asked.joined();
      await last.ip(`route replace blackhole ${subnet}`);
      await map.goTo("overview");
      await map.agrees(async () => {
        const { verdict, problems } = await overviewOf(asked);
        return problems.length > 0 ? [verdict] : [];
      });
      const places = [...VIEWS, `host?name=${last.name}`, "search?q=web-1"]
        .concat(`space?prefix=${subnet}`, "host?at=2026-01-01T00:00:00Z");
      assert.deepEqual(await examine(places), []);
    });
    await t.step("no view is wider than a telephone", async () => {
      await page.setViewportSize({ width: 360, height: 800 });
      for (const place of [...VIEWS, `host?name=${last.name}`]) {
        await map.goTo(place);
        await page.getByRole("heading", { level: 1 }).first().waitFor();
        const width = await page.evaluate(
          "document.documentElement.scrollWidth",
        );
        assert.equal(width, 360, place);
      }
    });
    assertClean(tab);
    await t.step(
      "axe finds nothing serious without the agent, either",
      async () => {
        await asked.agent.kill();
        await map.shows(["The connection to the agent is lost"]);
        assert.deepEqual(await examine(["overview", "host"]), []);
      },
    );
  });
}
