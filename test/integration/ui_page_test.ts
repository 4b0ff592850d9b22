import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Severity } from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { Chromium, type Tab } from "../support/chromium.ts";
import { scriptedHost, ScriptedMap } from "../support/scripted_map.ts";
import { waitFor } from "../support/wait_for.ts";

const DEAD = ["web-1", "web-1", "web-2", "web-3"].map((node, i) => ({
  ...{ node, code: "path-dead", severity: Severity.ERROR },
  ...{ subject: `peer-${i}`, text: `no packet gets to peer-${i}` },
  fix: `stellar-net doctor peer-${i}`,
}));
const PATIENT = { timeoutMs: 60_000 };
const THREE = ["web-1", "web-2", "web-3"].map(scriptedHost);

/** The name of what has the focus. */
async function focus({ page }: Tab): Promise<string> {
  return await page.evaluate(() => {
    const { document } = globalThis as unknown as {
      document: {
        activeElement: { id: string; textContent: string; localName: string };
      };
    };
    const { id, textContent, localName } = document.activeElement;
    return id || textContent || localName;
  });
}

Deno.test("the page of the map, with an agent that says what a test wants", async (t) => {
  await using map = await ScriptedMap.start();
  await using chromium = await Chromium.start();
  const tab = await chromium.open({
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const { page } = tab;
  const seen = (text: string | RegExp) =>
    page.getByText(text).first().waitFor();
  // Not page.waitForFunction(): the page's policy forbids what it does.
  const focused = (name: string) =>
    waitFor(
      `the focus on ${name}`,
      async () => await focus(tab) === name,
      PATIENT,
    );
  const at = (fragment: string | RegExp) =>
    page.waitForURL((url) =>
      typeof fragment === "string"
        ? url.hash === fragment
        : fragment.test(url.hash)
    );

  await t.step("says that it waits for the first answer", async () => {
    await page.goto(`${map.origin}/`);
    await seen("Waiting for the agent’s first answer");
    map.state = {
      hosts: THREE,
      summary: { verdict: "No problems on 3 hosts" },
    };
    map.cut();
    await seen("No problems on 3 hosts");
    await page.locator(".banner").waitFor({ state: "detached" });
  });
  await t.step("the keys lead to the views and back", async () => {
    for (
      const [key, place] of [
        ["2", "#/space"],
        ["3", "#/host"],
        [
          "4",
          "#/paths",
        ],
        ["5", "#/events"],
        ["1", "#/overview"],
      ] as const
    ) {
      await page.keyboard.press(key);
      await at(place);
      await page.keyboard.press("Escape");
    }
    await page.goBack();
    await at("#/events");
    await page.goForward();
    await at("#/overview");
  });
  await t.step(
    "the arrow keys move among the hosts, Enter opens one",
    async () => {
      const cells = page.locator(".cell");
      await cells.first().focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
      assert.match(await focus(tab), /^web-3/);
      await page.keyboard.press("Home");
      assert.match(await focus(tab), /^web-1/);
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Enter");
      await at("#/host?name=web-2");
      await page.getByRole("heading", { name: /web-2/ }).waitFor();
      await focused("main");
    },
  );
  await t.step(
    "the key / searches, Enter goes to the first match",
    async () => {
      await page.keyboard.press("/");
      assert.equal(await focus(tab), "search");
      await page.keyboard.type("B-3");
      await at("#/search?q=B-3");
      await page.locator(".found").getByText("web-3").waitFor();
      await page.keyboard.press("Enter");
      await focused("web-3");
      await page.keyboard.press("Enter");
      await at("#/host?name=web-3");
      // Text in the field is no command.
      await page.keyboard.press("/");
      await page.keyboard.type("5");
      await at("#/search?q=5");
      await page.keyboard.press("Escape");
      assert.notEqual(await focus(tab), "search");
    },
  );
  await t.step("the key ? opens the help, Escape closes it", async () => {
    await page.keyboard.press("?");
    const help = page.getByRole("dialog");
    await help.getByText("go back to now").waitFor();
    await page.keyboard.press("3");
    await page.keyboard.press("Escape");
    await help.waitFor({ state: "hidden" });
    await at("#/search?q=5");
  });
  await t.step(
    "a view that knows only the present says so of a moment",
    async () => {
      await page.goto(`${map.origin}/#/overview?at=2026-01-02T03:04:05Z`);
      await seen(/This view shows the present.*2026-01-02 03:04:05Z/);
      await page.keyboard.press("n");
      await at("#/overview");
    },
  );
  await t.step(
    "problems of one kind are together, each with its fix to copy",
    async () => {
      map.send({
        revision: "2",
        summary: { verdict: "4 problems on 3 of 3 hosts", problems: DEAD },
      });
      await seen("4 dead paths");
      await page.getByRole("link", { name: "web-1 (2)" }).waitFor();
      const fix = page.getByRole("button", {
        name: "Copy: stellar-net doctor peer-2",
      });
      assert.equal(await fix.isVisible(), false);
      await page.getByText("4 dead paths").click();
      await fix.click();
      await seen("Copied");
      assert.equal(
        await page.evaluate("navigator.clipboard.readText()"),
        "stellar-net doctor peer-2",
      );
      assert.match(await page.title(), /^✕ /);
    },
  );
  await t.step("what is typed stays while the cluster changes", async () => {
    await page.goto(`${map.origin}/#/events`);
    const field = page.getByRole("combobox", { name: "Host" });
    await field.pressSequentially("web");
    map.send({
      revision: "2",
      events: [{ kind: "joined", text: "somebody has joined" }],
    });
    await seen("somebody has joined");
    assert.equal(await field.inputValue(), "web");
    await field.pressSequentially("-1");
    await page.keyboard.press("Enter");
    await at("#/events?node=web-1");
  });
  await t.step(
    "a host shows what it has released, once it is wanted",
    async () => {
      map.history = [
        {
          node: "web-1",
          address: "172.16.0.8",
          owner: { containerId: "held" },
        },
        {
          ...{
            node: "web-1",
            address: "172.16.0.9",
            reason: "its boot is over",
          },
          owner: { containerId: "gone" },
          releasedAt: timestampFromMs(Date.now()),
        },
      ];
      await page.goto(`${map.origin}/#/host?name=web-1`);
      await page.getByText("Released lately").click();
      const row = page.getByRole("row", { name: /172\.16\.0\.9 gone/ });
      assert.match(await row.innerText(), /its boot is over/);
      assert.equal(await page.getByText("172.16.0.8").count(), 0);
    },
  );
  await t.step("a silent host is asked for nothing", async () => {
    await page.goto(`${map.origin}/#/host?name=web-1`);
    map.send({
      revision: "3",
      hosts: [{ node: { name: "web-1", state: NodeState.UNREACHABLE } }],
    });
    await seen("It sends no heartbeats");
    const before = tab.requests.length;
    map.send({ revision: "4", hosts: [scriptedHost("web-2")] });
    await page.goto(`${map.origin}/#/overview`);
    await page.goto(`${map.origin}/#/host?name=web-1`);
    await seen("It sends no heartbeats");
    const asked = tab.requests.slice(before).map((url) => url.split("/").at(-1))
      .filter((call) => call !== "ListEvents");
    assert.deepEqual(asked, []);
    await page.goto(`${map.origin}/#/overview`);
  });
  await t.step(
    "a lost stream is reported, and goes on where it was",
    async () => {
      // The next watch opens, and hears nothing at first.
      map.state = undefined;
      map.cut();
      const banner = await page.locator(".banner").innerText();
      assert.match(
        banner.replaceAll(/\s+/g, " "),
        /The connection to the agent is lost \(.*\): the agent has ended the stream. What you see is the state of 20/,
      );
      await waitFor("the next watch", () => map.resumed.length > 0, {
        timeoutMs: 60_000,
      });
      map.send({ hosts: [scriptedHost("web-4")], revision: "5" });
      await page.getByRole("link", { name: "4 hosts" }).waitFor();
      await page.locator(".banner").waitFor({ state: "detached" });
      assert.deepEqual(map.resumed, ["4"]);
    },
  );
  await t.step(
    "500 hosts are a grid, more are a map with the same keys",
    async () => {
      const many = Array.from(
        { length: 600 },
        (_, i) => scriptedHost(`n-${String(i).padStart(3, "0")}`),
      );
      map.send({ snapshot: true, revision: "6", hosts: many.slice(0, 500) });
      await waitFor(
        "500 cells",
        async () => await page.locator(".cell").count() === 500,
        PATIENT,
      );
      map.send({ revision: "7", hosts: many });
      const box = page.getByRole("application", { name: /Map of 600 hosts/ });
      await box.focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowRight");
      await seen("n-001");
      await at("#/overview?host=n-001");
      await page.keyboard.press("Enter");
      await at("#/host?name=n-001");
      await page.goto(`${map.origin}/#/overview`);
    },
  );
  await t.step(
    "a page without access says what to do, and asks no more",
    async () => {
      map.isRefusing = true;
      map.cut();
      await seen("This page has no access any more");
      await seen("this map has ended");
      await page.getByRole("button", { name: "Copy: stellar-net ui" })
        .waitFor();
      assert.deepEqual(await tab.seriousViolations(), []);
    },
  );
  await t.step("nothing broke a rule of the page's policy", () => {
    const broken = tab.problems
      .filter((text) => !text.includes("Failed to load resource"));
    assert.deepEqual(broken, []);
    assert.deepEqual(tab.strangers, []);
  });
});
