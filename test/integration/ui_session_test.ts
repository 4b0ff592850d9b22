import assert from "node:assert/strict";
import { TOKEN_NAME } from "../../src/ui/page/token.ts";
import { ROOT } from "../generate.ts";
import { Lab } from "../lab/lab.ts";
import { LabUi } from "../lab/lab_ui.ts";
import { Chromium } from "../support/chromium.ts";

const CALL = "/stellar.net.v1.ClusterService/GetOverview";

Deno.test("a browser opens the map by its link, once, and no other page gets anything", async (t) => {
  await using lab = await Lab.create({ hosts: 1 });
  const host = lab.host(1);
  await using map = await LabUi.start(host);
  await using chromium = await Chromium.start({ netns: host.netns });
  const tab = await chromium.open();
  const { page } = tab;

  await t.step("without the link there is no map", async () => {
    await page.goto(`${map.origin}/`);
    assert.match(await tab.text(), /Run "stellar-net ui" again/);
  });
  await t.step("the link opens it, and leaves no secret behind", async () => {
    await page.goto(`${map.link}#/events`);
    await page.waitForURL(`${map.origin}/#/events`);
    await page.getByText("Events").first().waitFor();
    await page.getByText("1 host").or(page.getByText("problem")).first()
      .waitFor();
    assert.equal(page.url(), `${map.origin}/#/events`);
  });
  await t.step("a second browser with the same link gets none", async () => {
    const other = await chromium.open();
    await other.page.goto(map.link);
    assert.match(await other.text(), /This link has been used/);
    await other.close();
  });
  await t.step("the browser that has used it opens it again", async () => {
    await page.goto(map.link);
    await page.waitForURL(`${map.origin}/`);
    await page.reload();
    await page.getByText("Overview").first().waitFor();
  });

  const server = host.start([
    ...[Deno.execPath(), "run", "-A", "--cached-only"],
    ...[`${ROOT}/test/support/other_origin_main.ts`, map.origin],
  ]);
  await using _server = server;
  const port = /\d+/.exec(await server.find(/"port":\d+/))![0];
  await t.step("a page of another port calls nothing", async () => {
    const other = await page.context().newPage();
    await other.goto(`http://127.0.0.1:${port}/`);
    await other.waitForFunction("document.title === 'done'");
    const log = await other.locator("#log").innerText();
    assert.match(log, /^call: failed, TypeError$/m);
    assert.match(log, /^blind call: failed, TypeError$/m);
    assert.match(log, /^page: failed, TypeError$/m);
    assert.match(log, /^script: failed$/m);
    assert.match(log, /^frame: unreadable$/m);
    await other.close();
  });
  await t.step(
    "a link in a page of another site leads to the map",
    async () => {
      const other = await page.context().newPage();
      await other.goto(`http://localhost:${port}/`);
      await other.getByText("the map").click();
      await other.waitForURL(`${map.origin}/#/events`);
      await other.getByRole("heading", { name: "Events" }).waitFor();
      await other.close();
    },
  );
  await t.step(
    "its server gets the cookie, which alone opens nothing",
    async () => {
      // Browsers send cookies to every port of a host (RFC 6265 section 8.5).
      const [cookie] = /stellar-net-[\w=-]+/.exec(
        await server.find(/"cookie":.*/),
      )!;
      const post = async (more: readonly string[]) =>
        await host.must("curl", [
          ...["-s", "-o", "-", "-w", " %{http_code}", "-X", "POST"],
          ...["-H", "content-type: application/json", "-d", "{}"],
          ...["-H", `cookie: ${cookie}`, "-H", `origin: ${map.origin}`],
          ...more,
          map.origin + CALL,
        ]);
      assert.match(await post([]), /"unauthenticated".* 401$/);
      // The page's own storage has what is missing: only pages of its origin read it.
      const token = await page.evaluate(
        `localStorage.getItem(${JSON.stringify(TOKEN_NAME)})`,
      );
      assert.match(
        await post(["-H", `${TOKEN_NAME}: ${token}`]),
        /"verdict".* 200$/,
      );
    },
  );
  await t.step("a name that means 127.0.0.1 is refused", async () => {
    const answer = await host.must("curl", [
      ...["-s", "-H", "host: rebind.example", map.origin],
    ]);
    assert.match(answer, /the map is at 127\.0\.0\.1 and localhost/);
  });
  await t.step("the browser has asked nobody else, and found no fault", () => {
    assert.deepEqual(tab.strangers, []);
    // The refusal of the first step is the only one.
    assert.deepEqual(tab.problems.map((line) => line.slice(0, 60)), [
      "error: Failed to load resource: the server responded with a ",
    ]);
  });
  await t.step("the map ends with the command", async () => {
    await map.process.end("SIGINT");
    await assert.rejects(page.goto(map.link), /ERR_CONNECTION_REFUSED/);
  });
});
