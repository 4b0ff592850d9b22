import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

const CALLERS = 200;

/** Asks for an address as the CNI plugin does, and hangs up without reading the answer. */
async function askAndHangUp(path: string, containerId: string): Promise<void> {
  const body = JSON.stringify({ owner: { containerId }, attachment: {} });
  const request = [
    "POST /stellar.net.v1.IpamService/Allocate HTTP/1.1",
    "host: agent",
    "content-type: application/json",
    `content-length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(request));
}

Deno.test("an ADD whose caller hangs up at any moment leaves no address", async () => {
  await using agent = await spawnAgent();
  const post = async (call: string, body: unknown) => {
    const response = await fetch(`${agent.url}/stellar.net.v1.${call}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return await response.json();
  };
  const status = async () => {
    const { subnets } = await post("AgentService/GetStatus", {});
    return subnets?.[0] as { held?: string } | undefined;
  };
  await Promise.all(
    Array.from(
      { length: CALLERS },
      (_, i) => askAndHangUp(agent.socketPath, `c${i}`),
    ),
  );
  // A call of its own comes behind all of theirs.
  await post("IpamService/Allocate", { owner: { containerId: "last" } });
  await post("IpamService/Release", { owner: { containerId: "last" } });
  // Some were given an address before it was seen that they had gone.
  await waitFor("all addresses to be free", async () => {
    const usage = await status();
    return usage !== undefined && usage.held === undefined;
  });
});
