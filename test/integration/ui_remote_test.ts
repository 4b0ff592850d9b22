import assert from "node:assert/strict";
import { TOKEN_NAME } from "../../src/ui/page/token.ts";
import { ROOT } from "../generate.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { LabUi } from "../lab/lab_ui.ts";
import { Chromium, type Tab } from "../support/chromium.ts";

const URL_OF_AGENT = "https://198.18.0.11:9000";
const TUNNEL_PORT = 8000;

/** The verdict of the command line, on a host with an agent. */
async function verdictAt(host: LabHost): Promise<string> {
  return (await host.ask<{ readonly verdict: string }>("cluster")).verdict;
}

/** Makes a call with everything that the page itself has. */
function callFrom({ page }: Tab, call: string): Promise<string> {
  return page.evaluate(async ([call, name]) => {
    const answer = await fetch(`/stellar.net.v1.${call}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        [name!]: localStorage.getItem(name!) ?? "",
      },
      body: "{}",
    });
    return `${answer.status} ${await answer.text()}`;
  }, [call, TOKEN_NAME]);
}

Deno.test("the map works on a host without an agent", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 2, secure: true, startAgents: false },
  });
  const [server, desk] = [lab.host(1), lab.host(2)];
  await server.agent.start();
  await server.joined();
  await using chromium = await Chromium.start({ netns: desk.netns });

  await t.step("with an identity, and its rights", async (t) => {
    const identity = `${desk.dir}/alice`;
    await server.must("stellar-net", [
      ...["token", "create", "--role", "readonly", "--name", "alice"],
      ...["--file", `${identity}.token`],
    ]);
    await desk.must("stellar-net", [
      ...["identity", "create", identity, "--name", "alice"],
      ...["--join", URL_OF_AGENT, "--token-file", `${identity}.token`],
    ]);
    await using map = await LabUi.start(desk, [
      ...["--identity", identity, "--url", URL_OF_AGENT],
    ]);
    const tab = await chromium.open();
    await tab.page.goto(map.link);
    await t.step("it shows the cluster", async () => {
      await tab.page.getByText(await verdictAt(server)).first().waitFor();
      assert.deepEqual(tab.strangers, []);
      assert.deepEqual(tab.problems, []);
    });
    await t.step("it passes on nothing that changes something", async () => {
      for (const call of ["IpamService/Reserve", "AgentService/Leave"]) {
        assert.match(
          await callFrom(tab, call),
          /^403 .*"permission_denied".*the map only reads/,
        );
      }
      assert.match(await callFrom(tab, "AgentService/GetStatus"), /^200 /);
    });
    await t.step("a lost agent is shown, and found again", async () => {
      await server.agent.kill();
      await tab.page.getByText(/lost|Cannot reach/i).first().waitFor();
      await server.agent.start();
      await tab.page.getByText(/lost|Cannot reach/i).first()
        .waitFor({ state: "detached" });
      await tab.page.getByText(await verdictAt(server)).first().waitFor();
    });
    await tab.close();
  });

  await t.step("through a tunnel, by another name and port", async () => {
    await using map = await LabUi.start(server);
    const { port, search } = new URL(map.link);
    const socket = `${server.dir}/tunnel.sock`;
    const end = (host: LabHost, from: string, to: string) =>
      host.start([
        ...[Deno.execPath(), "run", "-A", "--cached-only"],
        ...[`${ROOT}/test/support/tunnel_main.ts`, from, to],
      ]);
    await using far = end(server, socket, port);
    await far.find(/listening/);
    await using near = end(desk, `${TUNNEL_PORT}`, socket);
    await near.find(/listening/);
    const tab = await chromium.open();
    await tab.page.goto(`http://localhost:${TUNNEL_PORT}/${search}`);
    await tab.page.getByText(await verdictAt(server)).first().waitFor();
    assert.deepEqual(tab.strangers, []);
    assert.deepEqual(tab.problems, []);
    await tab.close();
  });
});
