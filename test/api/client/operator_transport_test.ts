import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { NetError } from "../../../src/base/error.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import {
  callerOf,
  formatCaller,
} from "../../../src/api/access/call_context.ts";
import {
  ASK_HEADER,
  createOperatorTransport,
} from "../../../src/api/client/operator_transport.ts";
import {
  materialOf,
  TestCredentials,
  withClusterServer,
} from "../../support/cluster_tls.ts";
import { freePort } from "../../support/free_port.ts";

/** What a server is asked for by its name: what it answers, or the agent that it names. */
type Answers = Map<string, string>;

/** Calls a function with a server that answers or refuses, and what calls it as operator alice. */
function withAgent(
  use: (agent: {
    readonly url: string;
    /** Another URL of the same agent. */
    readonly otherUrl: string;
    readonly answers: Answers;
    readonly calls: string[];
    /** Names of the nodes that it lists. */
    readonly nodes: string[];
    info(
      urls: readonly string[],
      keptUrls?: readonly string[],
    ): Promise<string>;
    backup(urls: readonly string[]): Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  const answers: Answers = new Map();
  const calls: string[] = [];
  const nodes = ["host1"];
  return withClusterServer({
    routes: (router) => {
      router.service(Network, {
        info: (_, context) => {
          calls.push(formatCaller(callerOf(context)));
          const ask = answers.get("ask");
          // As many agents as there are, each says the same.
          if (ask === undefined || calls.length > 1) {
            if (!answers.has("always")) return { id: calls.join(" ") };
          }
          throw new ConnectError("not here", Code.PermissionDenied, {
            [ASK_HEADER]: ask!,
          });
        },
      });
      router.service(RegistryService, {
        listNodes: () => ({
          nodes: nodes.map((listed) => {
            const [name, problem = ""] = listed.split(" ");
            return { name: name!, problem };
          }),
        }),
      });
      router.service(AgentService, {
        async *backup(_, context) {
          calls.push(formatCaller(callerOf(context)));
          yield await Promise.resolve({ data: new Uint8Array([1]) });
          yield { data: new Uint8Array([2]) };
        },
      });
    },
  }, async ({ authority, issue, port, credentials, server }) => {
    const other = await server.listenTcp(
      { hostname: "127.0.0.1", port: 0 },
      { isSecure: true },
    );
    const tls = new TestCredentials(
      credentials.trust,
      materialOf(await issue({ role: "operator", name: "alice" }), authority),
    );
    const transport = (
      urls: readonly string[],
      keptUrls: readonly string[] = [],
    ) => createOperatorTransport({ tls, urls, keptUrls, timeoutMs: 60_000 });
    await use({
      url: `https://127.0.0.1:${port}`,
      otherUrl: `https://127.0.0.1:${other.port}`,
      answers,
      calls,
      nodes,
      info: async (...agents) =>
        (await createClient(Network, transport(...agents)).info({})).id,
      async backup(urls) {
        const stream = createClient(AgentService, transport(urls)).backup({});
        const pieces = await Array.fromAsync(stream);
        return pieces.map(({ data }) => data.join()).join(" ");
      },
    });
  });
}

Deno.test("createOperatorTransport() tries agents in turn, with the certificate", () =>
  withAgent(async ({ url, info, backup, calls }) => {
    const dead = `https://127.0.0.1:${freePort()}`;
    assert.equal(await info([url]), "operator alice");
    assert.equal(await info([dead, url]), "operator alice operator alice");
    assert.equal(await backup([dead, dead, url]), "1 2");
    assert.equal(calls.length, 3);
  }));

Deno.test("createOperatorTransport() says of all agents why none was reached", () =>
  withAgent(async ({ info }) => {
    const dead = [freePort(), freePort()]
      .map((port) => `https://127.0.0.1:${port}`);
    await assert.rejects(info(dead), (error) => {
      assert.ok(error instanceof NetError);
      assert.equal(error.code, "unavailable");
      for (const url of dead) {
        assert.ok(
          error.message.includes(
            `Cannot reach the agent at "${url}": nothing listens there`,
          ),
          error.message,
        );
      }
      return true;
    });
  }));

Deno.test("createOperatorTransport() asks the agent that a refusal names, once", async (t) => {
  const dead = `https://127.0.0.1:${freePort()}`;
  const rows: readonly [
    name: string,
    answers: (url: string) => readonly (readonly [string, string])[],
    code: string,
    calls: number,
  ][] = [
    ["it answers", (url) => [["ask", url]], "", 2],
    [
      "it refuses too",
      (url) => [["ask", url], ["always", ""]],
      "permission_denied",
      2,
    ],
    ["it is not there", () => [["ask", dead]], "unavailable", 1],
    [
      "plain text is not asked",
      () => [["ask", "http://127.0.0.1:9"]],
      "permission_denied",
      1,
    ],
    [
      "what is no URL is not asked",
      () => [["ask", "https://a b"]],
      "permission_denied",
      1,
    ],
  ];
  for (const [name, list, code, count] of rows) {
    await t.step(
      name,
      () =>
        withAgent(async ({ url, info, answers, calls }) => {
          for (const [key, value] of list(url)) answers.set(key, value);
          const outcome = await info([url])
            .then(() => "", (error: NetError) => error.code);
          assert.deepEqual([outcome, calls.length], [code, count]);
        }),
    );
  }
});

Deno.test("createOperatorTransport() asks only agents at kept URLs and of listed nodes", async (t) => {
  const dead = `https://127.0.0.1:${freePort()}`;
  const rows: readonly [
    name: string,
    /** Those that the agents list. */
    nodes: readonly string[],
    kept: (otherUrl: string) => readonly string[],
    code: string,
    says: RegExp,
  ][] = [
    ["at a kept URL", [], (otherUrl) => [otherUrl], "", /^$/],
    ["of a listed node", ["host1"], () => [], "", /^$/],
    [
      "not of another",
      ["host2"],
      () => [],
      "unavailable",
      /it is node "host1", which https:\S+ does not list; name that agent with --url/,
    ],
    [
      "not of one that the registry refuses",
      ["host1 refused"],
      () => [],
      "unavailable",
      /it is node "host1", which https:\S+ does not list; name that agent with --url/,
    ],
    [
      "not where no kept agent can tell",
      ["host1"],
      () => [dead],
      "unavailable",
      /Cannot reach the agent at .*nothing listens there/,
    ],
  ];
  for (const [name, names, kept, code, says] of rows) {
    await t.step(
      name,
      () =>
        withAgent(async ({ url, otherUrl, info, answers, calls, nodes }) => {
          answers.set("ask", otherUrl);
          nodes.splice(0, nodes.length, ...names);
          const outcome = await info([url], kept(otherUrl)).then(
            () => ({ code: "", message: "" }),
            (error: NetError) => error,
          );
          assert.equal(outcome.code, code, outcome.message);
          assert.match(outcome.message, says);
          assert.equal(calls.length, code === "" ? 2 : 1);
        }),
    );
  }
});
