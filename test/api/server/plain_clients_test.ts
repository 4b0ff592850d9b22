import assert from "node:assert/strict";
import { createNamespace } from "../../support/namespace.ts";
import { run } from "../../support/run.ts";

const MAIN = new URL("../../support/plain_clients_main.ts", import.meta.url);

Deno.test("a server in plain text knows this host from others, and bounds the connections of others", async () => {
  await using namespace = await createNamespace(
    "net",
    "ip link set lo up\n" +
      "ip address add 198.18.0.1/32 dev lo\nip address add 198.18.0.2/32 dev lo",
  );
  const [command, ...args] = namespace.within;
  const { stdout, stderr } = await run(command!, [
    ...args,
    ...[Deno.execPath(), "run", "-A", MAIN.pathname],
  ]);
  const local = Array(5).fill("loopback 127.0.0.1");
  const remote = Array(3).fill("plain 198.18.0.1");
  const other = "plain 198.18.0.2";
  assert.notEqual(stdout, "", stderr);
  assert.deepEqual(JSON.parse(stdout), {
    "0.0.0.0 from 127.0.0.1": [...local, other],
    "0.0.0.0 from 198.18.0.1": [...remote, "closed", "closed", other],
    ":: from 127.0.0.1": [...local, other],
    ":: from 198.18.0.1": [...remote, "closed", "closed", other],
  });
});
