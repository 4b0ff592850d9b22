import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createClient } from "@connectrpc/connect";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import { TestCredentials } from "../../support/cluster_tls.ts";

Deno.test("a call says so when the agent ends connections before TLS, as one without a certificate does", async () => {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}`;
  const none = { cert: "", key: "", ca: "" };
  const tls = new TestCredentials({ authorities: [], revocations: [] }, none);
  const client = createClient(
    AgentService,
    createRpcTransport({ url }, { tls }),
  );
  await assert.rejects(client.getStatus({}), {
    code: "unavailable",
    message:
      /^Cannot reach the agent at "https:\S+": it closes connections before TLS: it has no certificate yet/,
  });
  server.close();
  await once(server, "close");
});
