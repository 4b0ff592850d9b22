import assert from "node:assert/strict";
import {
  MethodOptions_IdempotencyLevel,
  StringValueSchema,
  timestampFromMs,
} from "@bufbuild/protobuf/wkt";
import {
  type DescMessage,
  type DescService,
  ScalarType,
} from "@bufbuild/protobuf";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import {
  cutPage,
  cutTimePage,
  parseTimePage,
} from "../../../src/api/messages/pages.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { IdentityService } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
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
      const cut = cutTimePage(read, page, {
        schema: StringValueSchema,
        message: ({ i }) => ({ value: `${i}` }),
        timeOf: ({ atMs }) => atMs,
      });
      assert.ok(cut.page.length <= size);
      seen.push(...cut.page.map(({ value }) => Number(value)));
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

/** Texts of a list, and how a page of it is cut. */
const TEXTS = {
  schema: StringValueSchema,
  message: (value: string) => ({ value }),
  keyOf: (value: string) => value,
};
const SORTED = {
  ...TEXTS,
  behind: (key: string) => (text: string) => text > key,
};

Deno.test("cutPage() leads to the end, whatever comes and goes meanwhile", async (t) => {
  const items = ["b", "d", "f", "h"];
  const rows: readonly [string, readonly string[], readonly string[]][] = [
    ["nothing changes", items, ["f", "h"]],
    ["the last one goes", ["b", "f", "h"], ["f", "h"]],
    ["one before goes", ["d", "f", "h"], ["f", "h"]],
    ["one comes before", ["a", "b", "c", "d", "f", "h"], ["f", "h"]],
    ["one comes behind", ["b", "d", "e", "f", "h"], ["e", "f"]],
    ["all go", [], []],
  ];
  const first = cutPage(items, { pageSize: 2, pageToken: "" }, SORTED);
  assert.deepEqual(first.page, [{ value: "b" }, { value: "d" }]);
  assert.equal(first.totalSize, 4);
  for (const [name, now, expected] of rows) {
    await t.step(name, () => {
      const next = cutPage(now, {
        pageSize: 2,
        pageToken: first.nextPageToken,
      }, SORTED);
      assert.deepEqual(next.page.map(({ value }) => value), expected);
      assert.equal(next.totalSize, now.length);
    });
  }
  await t.step(
    "a list without an order goes on behind the item, or its place",
    () => {
      const start = cutPage(items, { pageSize: 2, pageToken: "" }, TEXTS);
      const goOn = (now: readonly string[]) =>
        cutPage(now, { pageSize: 9, pageToken: start.nextPageToken }, TEXTS)
          .page
          .map(({ value }) => value);
      assert.deepEqual(goOn(items), ["f", "h"]);
      assert.deepEqual(goOn(["a", ...items]), ["f", "h"]);
      assert.deepEqual(goOn(["b", "c", "f", "h"]), ["f", "h"]);
    },
  );
});

Deno.test("cutPage() takes a large page for the largest, refuses what is no page, and stays below 4 MiB", async (t) => {
  const items = Array.from({ length: 1_500 }, (_, i) => `${i + 10_000}`);
  const sizeOf = (pageSize: number) =>
    cutPage(items, { pageSize, pageToken: "" }, SORTED).page.length;
  assert.deepEqual([0, 1, 5_000].map(sizeOf), [1_000, 1, 1_000]);
  assert.throws(() => sizeOf(-1), { message: /"page_size"/ });
  for (const pageToken of ["%", btoa("1"), btoa("x y")]) {
    await t.step(pageToken, () => {
      assert.throws(() => cutPage(items, { pageSize: 0, pageToken }, TEXTS), {
        code: "invalid_argument",
        message: /"page_token"/,
      });
    });
  }
  const long = items.map((text) => text + "\u20ac".repeat(3_000));
  let pageToken = "";
  const seen: number[] = [];
  do {
    // A key of a token is ASCII.
    const cut = cutPage(long, { pageSize: 0, pageToken }, {
      ...SORTED,
      keyOf: (text) => text.slice(0, 5),
      behind: (key) => (text) => text.slice(0, 5) > key,
    });
    const bytes = cut.page
      .reduce((sum, { value = "" }) => sum + encoder.encode(value).length, 0);
    assert.ok(bytes < 4 * 1024 * 1024 - 64 * 1024, `${bytes}`);
    seen.push(cut.page.length);
    pageToken = cut.nextPageToken;
  } while (pageToken !== "");
  assert.ok(seen.length > 2 && seen[0]! < 1_000, `${seen}`);
  assert.equal(seen.reduce((a, b) => a + b), 1_500);
});

const encoder = new TextEncoder();

const LISTED: readonly DescService[] = [
  ...[IpamService, RegistryService, AgentService],
  ...[IdentityService, ClusterService],
];

Deno.test("every List call has the page fields of all others", async (t) => {
  const lists = LISTED.flatMap(({ methods }) => methods)
    .filter(({ name }) => name.startsWith("List"));
  assert.ok(lists.length >= 12, `${lists.length}`);
  for (const { name, input, output, idempotency } of lists) {
    await t.step(name, () => {
      const typeOf = ({ fields }: DescMessage, field: string) => {
        const found = fields.find((each) => each.name === field);
        return found?.fieldKind === "scalar"
          ? ScalarType[found.scalar]
          : "none";
      };
      assert.equal(typeOf(input, "page_size"), "INT32");
      assert.equal(typeOf(input, "page_token"), "STRING");
      assert.equal(typeOf(input, "limit"), "none");
      assert.equal(typeOf(output, "next_page_token"), "STRING");
      assert.equal(
        idempotency,
        MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
      );
      const isInTime = ["History", "Audit", "Events"]
        .some((end) => name.endsWith(end));
      assert.equal(
        typeOf(output, "total_size"),
        isInTime ? "none" : "INT32",
      );
    });
  }
});
