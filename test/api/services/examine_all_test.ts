import assert from "node:assert/strict";
import type { HandlerContext } from "@connectrpc/connect";
import { createAgent } from "../../../src/api/services/agent.ts";

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
