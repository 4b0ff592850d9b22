import { answerCalls } from "../../../src/api/server/call.ts";
import { Reports } from "../../../src/cluster/reports.ts";
import assert from "node:assert/strict";
import {
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import type { PeerIdentity } from "../../../src/security/pki/identity.ts";
import { CALLER, type Caller } from "../../../src/api/access/call_context.ts";
import { fromConnectError } from "../../../src/api/messages/errors.ts";
import { createRegistry } from "../../../src/api/services/registry.ts";
import { startAgent } from "../../agent/agents.ts";

const ADDRESS = "198.18.0.12";
const identity: PeerIdentity = {
  ...{ clusterId: "c1", role: "node", name: "host2", generation: 1 },
  ...{ serial: "01", fingerprint: "sha256:00" },
  ...{ issuedAtMs: 0, notBeforeMs: 0, notAfterMs: 1 },
};
const MEMBER: Caller = { kind: "member", identity, address: ADDRESS };

Deno.test("createRegistry() takes no agent in plain text from who was let in over TLS", async (t) => {
  const rows: readonly [caller: Caller, apiUrl: string, isTaken: boolean][] = [
    [MEMBER, "", true],
    [MEMBER, `https://${ADDRESS}:9000`, true],
    [MEMBER, `http://${ADDRESS}:9000`, false],
    [MEMBER, "http://127.0.0.1:8500", false],
    [{ kind: "plain", address: ADDRESS }, `http://${ADDRESS}:9000`, true],
  ];
  for (const [caller, apiUrl, isTaken] of rows) {
    await t.step(`${caller.kind} ${apiUrl}`, async () => {
      await using agent = await startAgent();
      const identify: Interceptor = (next) => (request) => {
        request.contextValues.set(CALLER, caller);
        return next(request);
      };
      const transport = createRouterTransport(
        (router) => {
          router.service(
            RegistryService,
            createRegistry(() => agent.agent.requireHost(), {
              self: "a",
              reports: new Reports({ now: Date.now }),
            }),
          );
        },
        { router: { interceptors: [answerCalls({}), identify] } },
      );
      const client = createClient(RegistryService, transport);
      const joined = await client.join({
        ...{ node: "host2", instanceId: "i2", apiUrl },
      }).then(() => "taken", (error) => fromConnectError(error).message);
      assert.match(joined, isTaken ? /^taken$/ : /"api_url".* is plain text/);
      const nodes = (await client.listNodes({})).nodes.map(({ name }) => name);
      assert.equal(nodes.includes("host2"), isTaken);
    });
  }
});

Deno.test("createRegistry() takes only addresses that can be a next hop, and few", async (t) => {
  const many = Array.from({ length: 5 }, (_, i) => `198.18.0.${i + 20}`);
  const rows: readonly [advertised: readonly string[], outcome: RegExp][] = [
    [[], /^taken$/],
    [["198.18.0.12", "fd00::12"], /^taken$/],
    [many.slice(0, 4), /^taken$/],
    [many, /5 addresses of IPv4, more than one for each of 4 uplinks/],
    [["127.0.0.1"], /127\.0\.0\.0\/8 \(loopback\)/],
    [["::1"], /loopback/],
    [["0.0.0.0"], /0\.0\.0\.0\/8/],
    [["::"], /unspecified/],
    [["224.0.0.1"], /multicast/],
    [["ff02::1"], /multicast/],
    [["255.255.255.255"], /reserved/],
  ];
  for (const [advertised, outcome] of rows) {
    await t.step(advertised.join() || "none", async () => {
      await using agent = await startAgent();
      const transport = createRouterTransport((router) => {
        router.service(
          RegistryService,
          createRegistry(() => agent.agent.requireHost(), {
            self: "a",
            reports: new Reports({ now: Date.now }),
          }),
        );
      }, { router: { interceptors: [answerCalls({})] } });
      const client = createClient(RegistryService, transport);
      const joined = await client.join({
        ...{ node: "host2", instanceId: "i2" },
        advertised: [...advertised],
      }).then(() => "taken", (error) => fromConnectError(error).message);
      assert.match(joined, outcome);
    });
  }
});
