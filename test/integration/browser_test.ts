import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer } from "node:net";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

const CHROMIUM = "/usr/bin/chromium";
/** The attacker's name, which comes to mean 127.0.0.1 (DNS rebinding). */
const NAME = "rebind.example";
const CREATE_TOKEN = "/stellar.net.v1.IdentityService/CreateToken";

/** A page that calls an agent, and shows what it gets. */
const page = (agent: string) =>
  `<!doctype html>
<pre id="log"></pre><script>
const show = (line) => document.getElementById("log").textContent += line + "\\n";
const body = '{"role":"ROLE_OPERATOR","name":"mallory"}';
const post = (url, more) => fetch(url, { method: "POST", body, ...more })
  .then(async (answer) => answer.status + " " + (await answer.text()).slice(0, 60))
  .catch((error) => "failed: " + error);
const json = { headers: { "content-type": "application/json" } };
(async () => {
  show("rebound: " + await post("${CREATE_TOKEN}", json));
  show("cross-origin: " + await post("${agent}${CREATE_TOKEN}", json));
  show("no-cors: " + await post("${agent}${CREATE_TOKEN}", { mode: "no-cors" }));
})();
</script>`;

/**
 * Serves a page to the first connection and hands later ones to the agent, as
 * when the name of the page's host means another address by then.
 */
async function serveRebinding(agentUrl: string, agentPort: number) {
  let isServed = false;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (head) => {
      if (!isServed && head.toString().startsWith("GET / ")) {
        isServed = true;
        const body = page(agentUrl);
        socket.end(
          "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n" +
            `Content-Length: ${body.length}\r\n\r\n${body}`,
        );
        return;
      }
      const agent = connect(agentPort, "127.0.0.1");
      agent.on("error", () => socket.destroy());
      agent.write(head);
      socket.pipe(agent).pipe(socket);
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}

Deno.test("a page in Chromium gets nothing from an agent in plain text", async () => {
  await using agent = await spawnAgent();
  using rebinding = await serveRebinding(agent.url, agent.port);
  const { code, stdout, stderr } = await withTempDir((dir) =>
    run("timeout", [
      ...["60", CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu"],
      ...["--disable-quic", "--no-first-run", "--disable-sync"],
      ...["--disable-background-networking", "--disable-component-update"],
      ...[`--user-data-dir=${dir}`, "--no-proxy-server"],
      `--host-resolver-rules=MAP ${NAME} 127.0.0.1`,
      ...["--virtual-time-budget=10000", "--dump-dom"],
      `http://${NAME}:${rebinding.port}/`,
    ])
  );
  assert.equal(code, 0, stderr);
  const log = /<pre id="log">([^<]*)</.exec(stdout)?.[1] ?? stdout;
  assert.match(log, /^rebound: 403 Cannot answer/m);
  assert.match(log, /^cross-origin: failed: /m);
  assert.match(log, /^no-cors: /m);
  const tokens = await fetch(
    `${agent.url}/stellar.net.v1.IdentityService/ListTokens`,
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    },
  );
  assert.deepEqual(await tokens.json(), {});
});
