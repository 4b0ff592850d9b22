import assert from "node:assert/strict";
import {
  createRouterTransport,
  type HandlerContext,
} from "@connectrpc/connect";
import { createAgent } from "../../../src/api/services/agent.ts";
import {
  examineAll,
  type ExamineAllOptions,
} from "../../../src/api/services/examine_all.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";

type Options = Parameters<typeof createAgent>[0];

Deno.test("a caller has sixteen examinations of all hosts open at most", async () => {
  const list = () => Promise.resolve([{ name: "a", state: "ready" }]);
  const held = Promise.withResolvers<[]>();
  let examined = 0;
  const examine = () => {
    examined++;
    return held.promise;
  };
  const { examineAll } = createAgent(
    {
      agent: { node: "a", requireHost: () => ({ nodes: { list } }) },
      doctor: { examine },
    } as unknown as Options,
  );
  const call = (name: string) => {
    const caller = { kind: "member", identity: { role: "node", name } };
    const context = {
      values: { get: () => caller },
      signal: new AbortController().signal,
      timeoutMs: () => undefined,
    } as unknown as HandlerContext;
    return Array.fromAsync(examineAll({} as never, context));
  };
  const running = [...Array<string>(16).fill("a"), "b"].map(call);
  await assert.rejects(
    call("a"),
    /Cannot examine all hosts: node "a" has 16 such calls open, which is the limit/,
  );
  held.resolve([]);
  const found = await Promise.all(running);
  assert(found.every(([first]) => first?.hosts === 1));
  assert.equal(examined, 17);
  await call("a");
});

Deno.test("a caller has the paths to sixteen peers examined at once at most", async () => {
  const held = Promise.withResolvers<[]>();
  const { examine } = createAgent(
    { doctor: { examine: () => held.promise } } as unknown as Options,
  );
  const context = {
    values: { get: () => ({ kind: "socket" }) },
    timeoutMs: () => undefined,
  } as unknown as HandlerContext;
  const call = async (peer: string) =>
    await examine({ peer } as never, context);
  const running = Array.from({ length: 16 }, (_, i) => call(`host${i}`));
  await assert.rejects(
    call("host16"),
    /Cannot examine a path: socket has 16 such calls open, which is the limit/,
  );
  const own = call("");
  held.resolve([]);
  const answers = await Promise.all([...running, own]);
  assert.equal(answers.length, 17);
  await call("host16");
});

Deno.test("examineAll() says why a host was not examined, and passes on no command with hidden characters", async () => {
  const hidden = { name: "b", command: "ip route\u{202e}delete" };
  const transport = createRouterTransport(({ service }) =>
    service(AgentService, {
      examine: () => ({
        checks: [
          { ...hidden, found: "a\nb", mend: "do it" },
          { name: "c", command: "ip route show", mend: "look\u{7}" },
          { name: "d", command: "ip route show", mend: "look" },
          ...Array.from({ length: 200 }, () => ({ name: "e" })),
        ],
      }),
    })
  );
  const host = (name: string, state: string, apiUrl = `https://${name}:1`) => ({
    ...{ name, state, apiUrl },
  });
  const options = {
    self: "a",
    doctor: { examine: () => Promise.resolve([]) },
    peers: { at: () => transport },
    nodes: [
      host("a", "ready", ""),
      host("b", "ready"),
      host("c", "unreachable"),
      host("d", "ready", ""),
      host("e", "no agent"),
    ],
    signal: new AbortController().signal,
  } as unknown as ExamineAllOptions;
  const messages = await Array.fromAsync(examineAll(options));
  assert.ok(messages.every(({ hosts }) => hosts === 4));
  assert.deepEqual(
    messages.map(({ node, problem = "" }) => [node, problem]).sort(),
    [
      ["a", ""],
      ["b", ""],
      ["c", "it sends no heartbeats"],
      ["d", "its agent listens on no address of its host"],
    ],
  );
  const { checks } = messages.find(({ node }) => node === "b")!;
  assert.equal(checks?.length, 200);
  assert.deepEqual(
    checks.slice(0, 3).map(({ command }) => command),
    ["", "", "ip route show"],
  );
  assert.equal(checks[0]?.found, "a\u{fffd}b");
});
