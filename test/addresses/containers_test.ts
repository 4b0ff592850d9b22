import type { AddressUser } from "../../src/addresses/neighbours.ts";
import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import type { QueuedRelease } from "../../src/cni/queue.ts";
import { parseAddress } from "../../src/net/address.ts";
import { owner } from "./plan/pools.ts";
import {
  allocate,
  held,
  type NetnsState,
  networks,
  startAgent,
  type TestAgent,
} from "../agent/agents.ts";

const GRACE_MS = 100;

/** Adds a container as a CNI runtime does; its namespace is there, if nothing else is said. */
async function add(
  t: TestAgent,
  containerId: string,
  options: { netns?: string; state?: NetnsState } = {},
): Promise<void> {
  const netns = options.netns ?? `/run/netns/${containerId}`;
  t.netns.set(netns, options.state ?? "there");
  await t.agent.addresses.allocate("a", {
    owner: owner(containerId),
    addresses: [],
    netns,
  });
}

/** Looks for leaks, twice with the grace time between. */
async function lookTwice(t: TestAgent, agent: Agent = t.agent): Promise<void> {
  await agent.addresses.collectLeaks();
  t.clock.nowMs += GRACE_MS;
  await agent.addresses.collectLeaks();
}

async function owners(agent: Agent): Promise<string[]> {
  return Object.keys(await held(agent)).sort();
}

Deno.test("NodeAddresses.collectLeaks() releases allocations without their namespaces, after a grace period", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  await add(t, "c2");
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.addresses.collectLeaks();
  t.clock.nowMs += GRACE_MS - 1;
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c1", "c2"]);
  const leaked = await t.agent.addresses.list("a", { limit: 9, leaked: true });
  assert.deepEqual(leaked.map((a) => a.owner.containerId), ["c1"]);
  assert.equal((await t.agent.status()).leaked, 1);
  t.clock.nowMs += 1;
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c2"]);
  assert.equal((await t.agent.status()).leaked, 0);
  const [record] = await t.agent.addresses.history({
    node: "a",
    containerId: "c1",
    limit: 1,
  });
  assert.equal(
    record?.reason,
    "leaked: its network namespace /run/netns/c1 is gone",
  );
});

Deno.test("NodeAddresses.collectLeaks() starts the grace period again when the namespace is back", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.addresses.collectLeaks();
  t.clock.nowMs += GRACE_MS;
  t.netns.set("/run/netns/c1", "there");
  await t.agent.addresses.collectLeaks();
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c1"]);
});

const KEPT: [
  string,
  { netns?: string; state?: NetnsState },
][] = [
  ["whose namespace was never there yet", { state: "gone" }],
  ["whose namespace cannot be looked for", { state: "unknown" }],
  ["whose namespace is not known", { netns: "" }],
  ["whose namespace is there", { state: "there" }],
];

for (const [what, options] of KEPT) {
  Deno.test(`NodeAddresses.collectLeaks() keeps a container ${what}`, async () => {
    await using t = await startAgent();
    await add(t, "c1", options);
    await lookTwice(t);
    assert.deepEqual(await owners(t.agent), ["c1"]);
  });
}

Deno.test("NodeAddresses.collectLeaks() takes a namespace that came late for one that can vanish", async () => {
  await using t = await startAgent();
  await add(t, "c1", { state: "gone" });
  t.netns.set("/run/netns/c1", "there");
  await t.agent.addresses.collectLeaks();
  t.netns.set("/run/netns/c1", "gone");
  await lookTwice(t);
  assert.deepEqual(await owners(t.agent), []);
});

Deno.test("NodeAddresses.collectLeaks() releases allocations of another boot, and none of the API", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  await add(t, "c2", { netns: "" });
  await allocate(t.agent, "api");
  const rebooted = await t.restart({ bootId: "boot-2" });
  await lookTwice(t, rebooted);
  assert.deepEqual(await owners(rebooted), ["api"]);
});

Deno.test("NodeAddresses.collectLeaks() keeps a container that was added again meanwhile", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.addresses.collectLeaks();
  t.clock.nowMs += GRACE_MS;
  await t.agent.addresses.release("a", {
    owner: owner("c1"),
    reason: "CNI DEL",
  });
  await add(t, "c1", { netns: "/run/netns/c1-new" });
  t.netns.set("/run/netns/c1-new", "gone");
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c1"]);
});

/** A DEL as a plugin queues it. */
function delOf(
  containerId: string,
  inode?: number,
): Pick<QueuedRelease, "netns" | "found" | "bootId"> {
  return {
    netns: `/run/netns/${containerId}`,
    found: inode === undefined
      ? { kind: "gone" }
      : { kind: "there", id: { inode, since: "mount 1" } },
    bootId: "boot-1",
  };
}

Deno.test("NodeAddresses.applyQueue() applies queued releases, but never to a container that was added later", async (t) => {
  const rows: readonly [
    name: string,
    entry: Partial<QueuedRelease>,
    then: (t: TestAgent) => Promise<void> | void,
    isKept: boolean,
  ][] = [
    ["the container still exists", delOf("c1", 1), () => {}, false],
    ["its namespace is gone", delOf("c1"), (t) => {
      t.netns.set("/run/netns/c1", "gone");
    }, false],
    ["an entry of version 1", {}, () => {}, false],
    ["it was added again, in another namespace", delOf("c1", 1), async (t) => {
      t.netns.set("/run/netns/c1", "gone");
      await add(t, "c1", { netns: "/run/netns/new", state: 2 });
    }, true],
    ["it was added again, at the same path", delOf("c1", 1), async (t) => {
      await add(t, "c1", { state: 2 });
    }, true],
    ["its namespace was gone, and there is another", delOf("c1"), async (t) => {
      t.netns.set("/run/netns/c1", "gone");
      await add(t, "c1", { state: 2 });
    }, true],
    [
      "a DEL of another boot",
      { ...delOf("c1"), bootId: "boot-0" },
      () => {},
      true,
    ],
  ];
  for (const [name, entry, then, isKept] of rows) {
    for (const isEarly of [true, false]) {
      await t.step(
        `${name}; ${isEarly ? "queued before" : "after"}`,
        async () => {
          await using t = await startAgent();
          await add(t, "c1");
          // With an entry that ADD sees, or one that was written after it.
          if (isEarly) t.queue.push(owner("c1"), entry);
          await then(t);
          if (!isEarly) t.queue.push(owner("c1"), entry);
          await t.agent.addresses.applyQueue();
          assert.deepEqual(await owners(t.agent), isKept ? ["c1"] : []);
          assert.equal((await t.agent.status()).queued, 0);
        },
      );
    }
  }
});

Deno.test("NodeAddresses.allocate() supersedes queued releases that it cannot remove, for good", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  // This entry says nothing about its container.
  t.queue.push(owner("c1"));
  t.queue.isReadOnly = true;
  t.netns.set("/run/netns/c1", "gone");
  await add(t, "c1", { netns: "/run/netns/new", state: 2 });
  t.queue.isReadOnly = false;
  const restarted = await t.restart();
  await restarted.addresses.applyQueue();
  assert.deepEqual(await owners(restarted), ["c1"]);
  assert.equal((await restarted.status()).queued, 0);
  t.queue.push(owner("c1"));
  await restarted.addresses.applyQueue();
  assert.deepEqual(await owners(restarted), []);
});

Deno.test("NodeAddresses.applyQueue() undoes the ADD with an id, and no other", async () => {
  await using t = await startAgent();
  t.netns.set("/run/netns/c1", "there");
  const request = { owner: owner("c1"), addresses: [], netns: "/run/netns/c1" };
  await t.agent.addresses.allocate("a", { ...request, id: "one" });
  t.queue.push(owner("c1"), { undoes: "two" });
  await t.agent.addresses.applyQueue();
  assert.deepEqual(await owners(t.agent), ["c1"]);
  t.queue.push(owner("c1"), { undoes: "one" });
  await t.agent.addresses.applyQueue();
  assert.deepEqual(await owners(t.agent), []);
});

Deno.test("NodeAddresses.allocate() refuses an ADD while the container runs, and names it", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  const [before] = await t.agent.addresses.list("a", { limit: 1 });
  await assert.rejects(add(t, "c1", { netns: "/run/netns/c2", state: 2 }), {
    code: "already_exists",
    message:
      /^Cannot allocate to "c1" \(eth0 in default\): a container with this id is running in the network namespace \/run\/netns\/c1; /,
  });
  await assert.rejects(add(t, "c1"), { code: "already_exists" });
  assert.deepEqual(await t.agent.addresses.list("a", { limit: 9 }), [before]);
  // As a runtime rolls the refused ADD back.
  const del = { owner: owner("c1"), reason: "CNI DEL" };
  await t.agent.addresses.release("a", { ...del, netns: "/run/netns/c2" });
  assert.deepEqual(await t.agent.addresses.list("a", { limit: 9 }), [before]);
  await t.agent.addresses.release("a", { ...del, netns: "/run/netns/c1" });
  assert.deepEqual(await owners(t.agent), []);
});

Deno.test("NodeAddresses.allocate() gives a container that was started again its address, for as long as it runs", async (t) => {
  const rows: readonly [name: string, boot: string, netns: string][] = [
    ["at another path", "boot-1", "/run/netns/new"],
    ["at the same path", "boot-1", "/run/netns/c1"],
    ["after a reboot", "boot-2", "/run/netns/c1"],
  ];
  for (const [name, bootId, netns] of rows) {
    await t.step(name, async () => {
      await using t = await startAgent();
      await add(t, "c1");
      const before = await held(t.agent);
      t.netns.clear();
      // A check finds the first container gone.
      await t.agent.addresses.collectLeaks();
      let agent = bootId === "boot-1" ? t.agent : await t.restart({ bootId });
      t.netns.set(netns, 2);
      await agent.addresses.allocate("a", {
        owner: owner("c1"),
        addresses: [],
        netns,
      });
      agent = await t.restart({ bootId });
      for (let check = 0; check < 4; check++) await lookTwice(t, agent);
      assert.deepEqual(await held(agent), before);
      t.netns.clear();
      await lookTwice(t, agent);
      assert.deepEqual(await held(agent), {});
    });
  }
});

Deno.test("NodeAddresses.allocate() gives a new container at once an address of another boot", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 29]) });
  for (let i = 0; i < 5; i++) await add(t, `c${i}`);
  const agent = await t.restart({ bootId: "boot-2" });
  const request = { addresses: [], netns: "/run/netns/new" };
  await agent.addresses.allocate("a", { owner: owner("new"), ...request });
  await agent.addresses.allocate("a", {
    ...request,
    owner: owner("fixed"),
    addresses: [parseAddress("10.0.0.4")],
  });
  assert.deepEqual(await held(agent), {
    new: "10.0.0.2",
    fixed: "10.0.0.4",
    ...{ c1: "10.0.0.3", c3: "10.0.0.5", c4: "10.0.0.6" },
  });
  const [record] = await agent.addresses.history({
    node: "a",
    containerId: "c0",
    limit: 1,
  });
  assert.match(record!.reason, /^the host was booted again since/);
});

Deno.test("NodeAddresses.allocate() gives out no address in use by hand, and names its user", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 29]) });
  t.inUse.set("10.0.0.2", userOf(2));
  t.inUse.set("10.0.0.4", userOf(4));
  await add(t, "c1");
  await add(t, "c2");
  assert.deepEqual(await held(t.agent), { c1: "10.0.0.3", c2: "10.0.0.5" });
  await assert.rejects(
    allocate(t.agent, "fixed", { addresses: ["10.0.0.4"] }),
    {
      code: "already_exists",
      message:
        /^Cannot allocate "10\.0\.0\.4": it is in use: 02:00:00:00:00:04 on "stellar0", behind its port "veth4" answers to it/,
    },
  );
  await add(t, "c3");
  await assert.rejects(add(t, "c4"), {
    code: "exhausted",
    message: /in use without an owner: 10\.0\.0\.2, 10\.0\.0\.4/,
  });
});

Deno.test("NodeAddresses.allocate() takes the next address where another host uses that of a container which ended", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 29]) });
  await add(t, "c1");
  // A running container is in use by itself.
  t.inUse.set("10.0.0.2", userOf(2));
  await assert.rejects(add(t, "c1", { netns: "/run/netns/twin" }), {
    message: /is running/,
  });
  t.netns.set("/run/netns/c1", "gone");
  await add(t, "c1", { netns: "/run/netns/new", state: 2 });
  assert.deepEqual(await held(t.agent), { c1: "10.0.0.3" });
  const [record] = await t.agent.addresses.history({
    node: "a",
    address: "10.0.0.2",
    limit: 1,
  });
  assert.match(record!.reason, /another host uses the address/);
});

Deno.test("NodeAddresses.allocate() gives an owner its reserved address unless another host uses it", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 29]) });
  const address = parseAddress("10.0.0.4");
  await t.agent.addresses.reserve("a", {
    address,
    owner: owner("db"),
    reason: "",
  });
  t.inUse.set("10.0.0.4", userOf(4));
  await add(t, "db");
  assert.deepEqual(await held(t.agent), { db: "10.0.0.2" });
});

Deno.test("NodeAddresses.collectLeaks() names a second user of a container's address, until it is gone", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 29]) });
  await add(t, "c1");
  t.ports.set("/run/netns/c1", "veth1");
  t.inUse.set("10.0.0.2", userOf(1));
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(t.agent.warnings, []);
  t.inUse.set("10.0.0.2", userOf(9));
  for (let i = 0; i < 2; i++) {
    await t.agent.addresses.collectLeaks();
    assert.match(
      t.agent.warnings.join("\n"),
      /^10\.0\.0\.2 of .*"c1".* is also in use by 02:00:00:00:00:09 on "stellar0", behind its port "veth9"/,
    );
  }
  t.inUse.set("10.0.0.2", userOf(1));
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(t.agent.warnings, []);
  // A container whose link cannot be looked up has no second user.
  t.ports.clear();
  t.inUse.set("10.0.0.2", userOf(8));
  await t.agent.addresses.collectLeaks();
  assert.deepEqual(t.agent.warnings, []);
});

Deno.test("NodeAddresses.reserve() keeps an address from all but its owner", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 29]) });
  await t.agent.addresses.reserve("a", {
    address: parseAddress("10.0.0.2"),
    reason: "printer",
  });
  const db = parseAddress("10.0.0.4");
  await t.agent.addresses.reserve("a", {
    address: db,
    owner: owner("db"),
    reason: "",
  });
  for (const id of ["c1", "c2", "c3"]) await add(t, id);
  assert.deepEqual(await held(t.agent), {
    c1: "10.0.0.3",
    c2: "10.0.0.5",
    c3: "10.0.0.6",
  });
  await assert.rejects(add(t, "c4"), {
    code: "exhausted",
    message: /2 of them reserved/,
  });
  await assert.rejects(t.agent.addresses.checkFree("a"), { code: "exhausted" });
  const rows = [["10.0.0.2", /it is reserved \(printer\)$/], [
    "10.0.0.4",
    /reserved for "db"/,
  ]] as const;
  for (const [address, message] of rows) {
    await assert.rejects(allocate(t.agent, "x", { addresses: [address] }), {
      code: "already_exists",
      message,
    });
  }
  await assert.rejects(
    t.agent.addresses.reserve("a", {
      address: parseAddress("10.0.0.3"),
      reason: "",
    }),
    { code: "already_exists", message: /"c1" .* holds it/ },
  );
  const restarted = await t.restart();
  assert.equal(await allocate(restarted, "db"), "10.0.0.4");
  await restarted.addresses.release("a", {
    owner: owner("db"),
    reason: "test",
  });
  assert.equal(await allocate(restarted, "db"), "10.0.0.4");
  assert.deepEqual(
    (await restarted.addresses.reservations("a")).map(({ address }) =>
      address.value & 7n
    ),
    [2n, 4n],
  );
  await restarted.addresses.unreserve("a", parseAddress("10.0.0.2"));
  assert.equal(await allocate(restarted, "c5"), "10.0.0.2");
});

Deno.test("NodeAddresses.releaseOthers() releases one network's others that a runtime added", async () => {
  await using t = await startAgent();
  for (const id of ["c1", "c2", "c3"]) await add(t, id);
  await allocate(t.agent, "api");
  const other = { ...owner("c1"), network: "other" };
  await t.agent.addresses.allocate("a", {
    owner: other,
    addresses: [],
    netns: "",
  });
  const released = await t.agent.addresses.releaseOthers("a", "default", [
    owner("c2"),
  ]);
  assert.deepEqual(released.map((a) => a.owner.containerId), ["c1", "c3"]);
  assert.deepEqual(await owners(t.agent), ["api", "c1", "c2"]);
  assert.deepEqual((await t.agent.addresses.get("a", other))?.owner, other);
});

Deno.test("Agent.checkReady() fails once all addresses are held", async () => {
  await using t = await startAgent();
  await t.agent.checkReady("a");
  for (let i = 0; i < 1021; i++) await allocate(t.agent, `c${i}`);
  await assert.rejects(t.agent.checkReady("a"), {
    code: "exhausted",
    message:
      /^IP allocation exhausted: all 1021 addresses of 172\.16\.0\.0\/22/,
  });
});

Deno.test("Agent.checkReady() fails when the node has no subnet and none is left", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 25]) });
  await t.agent.host!.registry.claim("b");
  await t.agent.checkReady("a");
  await t.agent.host!.registry.claim("c");
  await assert.rejects(t.agent.checkReady("a"), {
    code: "exhausted",
    message: /^no available subnets in network configuration/,
  });
});

/** A host behind a port of the bridge. */
function userOf(number: number): AddressUser {
  return {
    macAddress: `02:00:00:00:00:0${number}`,
    device: "stellar0",
    port: `veth${number}`,
  };
}
