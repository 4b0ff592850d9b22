import assert from "node:assert/strict";
import {
  checkLive,
  checkReady,
  type Condition,
  WriteProbe,
} from "../../src/agent/status.ts";
import type { RegistryLink } from "../../src/member/link.ts";
import type { Member } from "../../src/member/member.ts";
import { NetError } from "../../src/base/error.ts";
import { parsePrefix, type Prefix } from "../../src/net/prefix.ts";
import type { Store } from "../../src/store/store.ts";
import { HeldTimers } from "../support/held_timers.ts";
import { startAgent } from "./agents.ts";

const SUBNET = parsePrefix("172.16.0.0/22");
const LINK = { sinceMs: 0, url: "http://h:1", urls: ["http://h:1"] };
const UNREACHABLE =
  "the registry has been unreachable since 1970-01-01 00:00:00Z: no way";

/** What does not hold, and of what is told of the registry otherwise. */
function describe(conditions: readonly Condition[]): readonly string[] {
  return conditions.map(({ name, holds, reason }) =>
    `${holds ? "" : "NOT "}${name}: ${reason}`
  );
}

/** A member in a state, which claims as `claim` says. */
function homeOf(
  state: RegistryLink["state"],
  subnets: readonly Prefix[],
  claim: () => Promise<void>,
): Member {
  const problem = state === "joined" || state === "hosted" ? "" : "no way";
  const link = { ...LINK, state, problem };
  return { link, subnets, checkClaim: claim } as unknown as Member;
}

Deno.test("checkReady() names the reasons that an agent hands out no addresses", async (t) => {
  await using started = await startAgent();
  const { store } = started;
  const well = () => Promise.resolve();
  const refuse = (code: "unavailable" | "failed_precondition") => () =>
    Promise.reject(new NetError(code, `refused: ${code}`));
  const rows: readonly [
    name: string,
    member: Member,
    registry: string,
    fence: string,
    subnet: string,
  ][] = [
    [
      "hosted",
      homeOf("hosted", [SUBNET], well),
      "registry: it is hosted here",
      "not fenced: this node is not fenced",
      "subnet: 172.16.0.0/22",
    ],
    [
      "hosted, without a subnet yet",
      homeOf("hosted", [], well),
      "registry: it is hosted here",
      "not fenced: this node is not fenced",
      "subnet: it is claimed with the first allocation",
    ],
    [
      "joined",
      homeOf("joined", [SUBNET], well),
      "registry: joined at http://h:1",
      "not fenced: this node is not fenced",
      "subnet: 172.16.0.0/22",
    ],
    [
      "unreachable, with its subnet",
      homeOf("unreachable", [SUBNET], well),
      `registry: ${UNREACHABLE}; this node keeps its addresses and routes; joins, and changes of subnets and routes, wait; remove this cause; the agent tries again by itself`,
      "not fenced: this node is not fenced",
      "subnet: 172.16.0.0/22",
    ],
    [
      "unreachable, never joined",
      homeOf("unreachable", [], refuse("unavailable")),
      `NOT registry: ${UNREACHABLE}; this node has no subnet before it has joined, so containers get no addresses; remove this cause; the agent tries again by itself`,
      "not fenced: this node is not fenced",
      "NOT subnet: refused: unavailable",
    ],
    [
      "fenced",
      homeOf("fenced", [SUBNET], refuse("failed_precondition")),
      'NOT registry: the registry has fenced this node since 1970-01-01 00:00:00Z: no way; this node hands out no addresses, and its subnet may belong to another; stop its containers, run "stellar-net node leave --force", which forgets their addresses, and start the agent again',
      "NOT not fenced: the registry has fenced this node since 1970-01-01 00:00:00Z: no way",
      "NOT subnet: refused: failed_precondition",
    ],
    [
      "refused",
      homeOf("fenced", [], refuse("failed_precondition")),
      "NOT registry: the registry has refused this node since 1970-01-01 00:00:00Z: no way; this node has no subnet, so containers get no addresses; remove this cause; the agent tries again by itself",
      "not fenced: this node is not fenced",
      "NOT subnet: refused: failed_precondition",
    ],
    [
      "left",
      homeOf("left", [], refuse("failed_precondition")),
      "NOT registry: this node has left the cluster since 1970-01-01 00:00:00Z: no way; it has no subnet and hands out no addresses; start the agent again to join",
      "not fenced: this node is not fenced",
      "NOT subnet: refused: failed_precondition",
    ],
    [
      "a registry that does not answer",
      homeOf("hosted", [], () => new Promise(() => {})),
      "registry: it is hosted here",
      "not fenced: this node is not fenced",
      "NOT subnet: it does not answer within 20 ms",
    ],
  ];
  for (const [name, member, ...told] of rows) {
    await t.step(name, async () => {
      // Only what never answers is late, whatever else the machine does.
      using timers = new HeldTimers(20);
      const found = await checkReady({
        ...{ member, store, timeoutMs: 20 },
        checkAddresses: () => {
          setTimeout(() => timers.fire());
          return member.checkClaim();
        },
        checkWrites: well,
      });
      assert.deepEqual(describe(found), [
        `store: ${store.url} takes reads`,
        `writes: ${store.url} takes writes`,
        ...told,
      ]);
    });
  }
});

Deno.test("checkReady() fails while the store takes no writes, or no address is free", async () => {
  await using started = await startAgent();
  const { store } = started;
  const fail = (text: string) => () =>
    Promise.reject(new NetError("unavailable", text));
  const found = await checkReady({
    store,
    member: homeOf("hosted", [SUBNET], () => Promise.resolve()),
    checkWrites: fail("the disk is full"),
    checkAddresses: fail("all are held"),
  });
  assert.deepEqual(describe(found).filter((line) => /^NOT/.test(line)), [
    "NOT writes: the disk is full",
    "NOT subnet: all are held",
  ]);
});

Deno.test("WriteProbe writes at most once a second, and again after that", async () => {
  await using started = await startAgent();
  const { store } = started;
  let atMs = 0;
  let writes = 0;
  const counted = {
    commit: (commit: Parameters<Store["commit"]>[0]) => {
      writes++;
      return store.commit(commit);
    },
  } as unknown as Store;
  const probe = new WriteProbe(counted, () => atMs);
  await Promise.all([probe.check(), probe.check()]);
  atMs = 999;
  await probe.check();
  assert.equal(writes, 1);
  store.isDown = true;
  atMs = 1_000;
  await assert.rejects(probe.check(), { code: "unavailable" });
  await assert.rejects(probe.check(), { code: "unavailable" });
  assert.equal(writes, 2);
  store.isDown = false;
  atMs = 2_000;
  await probe.check();
});

Deno.test("checkLive() tells whether the store takes reads", async () => {
  await using started = await startAgent();
  const { store } = started;
  store.isDown = true;
  const [down] = await checkLive({ store });
  assert.equal(down?.holds, false);
  store.isDown = false;
  const hanging = {
    url: "kv:x",
    get: () => new Promise(() => {}),
  } as unknown as Store;
  assert.deepEqual(
    describe(await checkLive({ store: hanging, timeoutMs: 1 })),
    [
      "NOT store: it does not answer within 1 ms",
    ],
  );
  const broken = {
    get: () => Promise.reject(new TypeError("a defect")),
  } as unknown as Store;
  await assert.rejects(checkLive({ store: broken }), /a defect/);
});

Deno.test("checkLive() waits 3 s for the store", async () => {
  using timers = new HeldTimers(3_000);
  const store = {
    url: "kv:/state.db",
    get: () => new Promise(() => {}),
  } as unknown as Store;
  const checked = checkLive({ store });
  assert.ok(timers.areHeld);
  timers.fire();
  assert.deepEqual(await checked, [{
    name: "store",
    holds: false,
    reason: "it does not answer within 3000 ms",
  }]);
});
