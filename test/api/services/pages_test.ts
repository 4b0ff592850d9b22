import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import {
  cutTimePage,
  parseTimePage,
} from "../../../src/api/messages/fields.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { startAgent, type TestAgent } from "../../agent/agents.ts";

function createIpamClient({ agent }: TestAgent) {
  const transport = createRouterTransport(
    (router) =>
      void router.service(IpamService, createIpam(agent, new OwnerCalls())),
    { router: { interceptors: [answerCalls({})] } },
  );
  return createClient(IpamService, transport);
}

Deno.test("cutTimePage() leads through records of equal times, each once", () => {
  // Times with many equal ones, the latest first.
  const records = [9, 9, 9, 9, 7, 7, 7, 5, 4, 4].map((atMs, i) => ({
    atMs,
    i,
  }));
  for (const size of [1, 2, 3, 4, 10, 11]) {
    const seen: number[] = [];
    let pageToken = "";
    do {
      const page = parseTimePage({ pageSize: size, pageToken });
      const { untilMs = Infinity, limit } = page;
      const read = records.filter(({ atMs }) => atMs <= untilMs).slice(
        0,
        limit,
      );
      const cut = cutTimePage(read, page, ({ atMs }) => atMs);
      assert.ok(cut.page.length <= size);
      seen.push(...cut.page.map(({ i }) => i));
      pageToken = cut.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(seen, records.map(({ i }) => i), `pages of ${size}`);
  }
});

Deno.test("parseTimePage() takes a large page for the largest, and refuses what is no page", async (t) => {
  assert.equal(parseTimePage({ pageSize: 5000, pageToken: "" }).size, 1000);
  assert.equal(parseTimePage({ pageSize: 0, pageToken: "" }).size, 1000);
  for (const pageToken of ["x", "%", btoa("1"), btoa("a.b"), btoa("1.2.3")]) {
    await t.step(pageToken, () => {
      assert.throws(() => parseTimePage({ pageSize: 0, pageToken }), {
        code: "invalid_argument",
        message: /"page_token"/,
      });
    });
  }
  assert.throws(() => parseTimePage({ pageSize: -1, pageToken: "" }), {
    code: "invalid_argument",
    message: /"page_size"/,
  });
});

Deno.test("ListHistory leads to the end in pages, and stops at a time", async () => {
  await using t = await startAgent();
  const client = createIpamClient(t);
  const ids = Array.from({ length: 7 }, (_, i) => `c${i}`);
  for (const containerId of ids) {
    // Several share a time.
    if (Number(containerId.slice(1)) % 3 === 0) t.clock.nowMs += 10;
    await client.allocate({ owner: { containerId } });
  }
  const halfMs = t.clock.nowMs;
  for (const containerId of ids.slice(0, 5)) {
    if (Number(containerId.slice(1)) % 2 === 0) t.clock.nowMs += 10;
    await client.release({ owner: { containerId } });
  }
  const whole = await client.listHistory({});
  assert.equal(whole.records.length, 7);
  assert.equal(whole.nextPageToken, "");
  for (const limit of [1, 2, 3]) {
    const seen: unknown[] = [];
    let pageToken = "";
    do {
      const page = await client.listHistory({ pageSize: limit, pageToken });
      assert.equal(page.truncated, page.nextPageToken !== "");
      seen.push(...page.records);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(seen, whole.records, `pages of ${limit}`);
  }
  const before = await client.listHistory({ until: timestampFromMs(halfMs) });
  const names = before.records.map(({ owner }) => owner!.containerId);
  assert.deepEqual(names.sort(), ["c5", "c6"]);
});

Deno.test("GetAllocation finds an allocation by its address", async () => {
  await using t = await startAgent();
  const client = createIpamClient(t);
  const owner = { containerId: "c1" };
  const { allocation } = await client.allocate({ owner });
  const { address } = allocation!.addresses[0]!;
  const found = await client.getAllocation({ address });
  assert.deepEqual(found.allocation, allocation);
  assert.notEqual(found.allocation!.id, "");
  await assert.rejects(client.getAllocation({ address, owner }), {
    code: Code.InvalidArgument,
  });
  await client.release({ owner, id: "another" });
  assert.equal(
    (await client.getAllocation({ address })).allocation!.id,
    allocation!.id,
  );
  await client.release({ owner, id: allocation!.id });
  await assert.rejects(client.getAllocation({ address }), {
    code: Code.NotFound,
    message: new RegExp(`nobody holds it`),
  });
});
