import assert from "node:assert/strict";
import { decodePacket, PACKET_BYTES } from "../../src/probe/plan/packet.ts";
import { PROBE_PORT } from "../../src/probe/port.ts";
import { nodeId, openPacket, sealPacket } from "../../src/probe/seal.ts";
import { FakeTimers } from "../support/fake_timers.ts";
import { FakeFabric, type FakeHost } from "./fake_fabric.ts";
import { probeKey } from "./seal_test.ts";

const KEY = probeKey(1, 5);

/** Runs a test with hosts that have probed each other for a while. */
async function withHosts(
  count: number,
  test: (fabric: FakeFabric, timers: FakeTimers) => Promise<void>,
): Promise<void> {
  const timers = new FakeTimers(1_000_000);
  const fabric = new FakeFabric(timers, [KEY]);
  try {
    fabric.add(count);
    await timers.advance(8_000);
    await test(fabric, timers);
  } finally {
    fabric.stop();
    timers.uninstall();
  }
}

/** Advances in small steps until a condition holds, and returns the time that it took. */
async function timeUntil(
  timers: FakeTimers,
  condition: () => boolean,
): Promise<number> {
  const startMs = timers.nowMs;
  while (!condition()) {
    assert.ok(
      timers.nowMs - startMs < 60_000,
      "the condition does not hold within 60 s",
    );
    await timers.advance(10);
  }
  return timers.nowMs - startMs;
}

const isOf = (host: FakeHost) => (address: string) =>
  address === host.host || address === host.gateway;

Deno.test("hosts measure the paths between their gateways", async () => {
  await withHosts(3, async ({ hosts, sent, addresses }, timers) => {
    for (const { prober } of hosts) {
      const states = prober.paths.map(({ state, fullBytes }) =>
        `${state} ${fullBytes}`
      );
      assert.deepEqual(states, ["alive 1500", "alive 1500"]);
    }
    assert.equal(addresses.length, 6, "each gateway and each host");
    sent.length = 0;
    await timers.advance(10_000);
    for (const { from, to } of sent) {
      assert.match(from, /^172\./);
      assert.match(to, /^172\./);
    }
    assert.ok(sent.some(({ payload }) => payload.length === 1500 - 28));
  });
});

Deno.test("a host without a bridge is probed at its own address, and again at the gateway's once it is there", async () => {
  await withHosts(2, async ({ hosts: [a, b], sent }, timers) => {
    b!.hasBridge = false;
    await timers.advance(5_000);
    assert.equal(a!.stateTo(b!), "alive");
    sent.length = 0;
    await timers.advance(3_000);
    assert.ok(sent.every(({ from, to }) => isOf(b!)(from) || to === b!.host));
    b!.hasBridge = true;
    await timers.advance(5_000);
    sent.length = 0;
    await timers.advance(3_000);
    assert.ok(
      sent.every(({ from, to }) => isOf(b!)(from) || to === b!.gateway),
    );
    assert.equal(a!.stateTo(b!), "alive");
  });
});

Deno.test("no host sends more than 16 packets a second, whatever the size, and every path has its turn", async (t) => {
  for (const count of [2, 3, 5, 9, 30]) {
    await t.step(`${count} hosts`, async () => {
      await withHosts(count, async ({ hosts, sent }, timers) => {
        await timers.advance(10_000);
        sent.length = 0;
        const seconds = Math.max(30, count + 5);
        await timers.advance(seconds * 1_000);
        for (const host of hosts) {
          const own = sent.filter(({ from }) => isOf(host)(from));
          assert.ok(own.length / seconds <= 16.5, String(own.length));
          for (const { state } of host.prober.paths) {
            assert.equal(state, "alive");
          }
        }
      });
    });
  }
});

Deno.test("both ends see a fault within 3 s, and its end", async (t) => {
  const rows: [
    string,
    number,
    (fabric: FakeFabric) => FakeFabric["drops"],
    states: [string, string],
  ][] = [
    ["a cut cable", 2, () => () => true, ["dead", "dead"]],
    ["a cut cable, of three", 3, () => () => true, ["dead", "dead"]],
    [
      "one direction",
      3,
      ({ hosts: [a, b] }) => (from, to) => isOf(a!)(from) && isOf(b!)(to),
      ["dead", "dead"],
    ],
    [
      "one direction, of twelve hosts",
      12,
      ({ hosts: [a, b] }) => (from, to) => isOf(a!)(from) && isOf(b!)(to),
      ["dead", "dead"],
    ],
    [
      "a smaller MTU, one way",
      3,
      ({ hosts: [a, b] }) => (from, to, bytes) =>
        isOf(a!)(from) && isOf(b!)(to) && bytes > 1400,
      ["narrow", "alive"],
    ],
    [
      "a smaller MTU, both ways",
      3,
      () => (_from, _to, bytes) => bytes > 1400,
      ["narrow", "narrow"],
    ],
  ];
  for (const [name, count, faultOf, [atA, atB]] of rows) {
    await t.step(name, async () => {
      await withHosts(count, async (fabric, timers) => {
        const [a, b] = fabric.hosts as [FakeHost, FakeHost];
        const changes = a.changes;
        fabric.drops = faultOf(fabric);
        const tookMs = await timeUntil(
          timers,
          () => a.stateTo(b) === atA && b.stateTo(a) === atB,
        );
        assert.ok(tookMs <= 3_000, `${tookMs} ms`);
        assert.ok(a.changes > changes, "onChange() was called");
        await timers.advance(8_000);
        assert.deepEqual([a.stateTo(b), b.stateTo(a)], [atA, atB]);
        const path = a.prober.paths.find(({ peer }) => peer === "h1")!;
        assert.equal(path.narrowBytes, atA === "narrow" ? 1400 : undefined);
        fabric.drops = () => false;
        await timers.advance(25_000);
        assert.deepEqual([a.stateTo(b), b.stateTo(a)], ["alive", "alive"]);
      });
    });
  }
});

Deno.test("loss of one packet in five is seen at both ends, mostly within 3 s", async () => {
  const took: number[] = [];
  for (let seed = 1; seed <= 20; seed++) {
    await withHosts(3, async (fabric, timers) => {
      const [a, b] = fabric.hosts as [FakeHost, FakeHost];
      let random = seed;
      fabric.drops = (from, to) => {
        if (!isOf(a)(from) || !isOf(b)(to)) return false;
        // Lehmer's generator, so that each run is the same.
        random = random * 48271 % 0x7fffffff;
        return random % 5 === 0;
      };
      took.push(
        await timeUntil(
          timers,
          () => a.stateTo(b) === "lossy" && b.stateTo(a) === "lossy",
        ),
      );
      const paths = a.prober.paths;
      assert.equal(paths.find(({ peer }) => peer === "h2")!.state, "alive");
    });
  }
  const inTime = took.filter((ms) => ms <= 3_000).length;
  assert.ok(inTime >= 16, took.join(" "));
});

Deno.test("a peer that answers pings, and no probes, is not dead", async () => {
  await withHosts(2, async ({ hosts: [a, b] }, timers) => {
    b!.prober.stop();
    await timers.advance(5_000);
    assert.equal(a!.stateTo(b!), "unanswered");
  });
});

Deno.test("Prober does not take a pause of its own host for silence of its peers", async () => {
  await withHosts(2, async ({ hosts: [a, b] }, timers) => {
    const { changes } = a!;
    // Time passes, and no timer runs.
    timers.nowMs += 10_000;
    await timers.advance(5_000);
    assert.equal(a!.stateTo(b!), "alive");
    assert.equal(a!.changes, changes);
  });
});

Deno.test("a host that stalls again and again finds a path dead within 3 s of the time in which it runs", async () => {
  await withHosts(2, async (fabric, timers) => {
    const [a, b] = fabric.hosts as [FakeHost, FakeHost];
    fabric.drops = () => true;
    let ranMs = 0;
    while (a.stateTo(b) !== "dead") {
      assert.ok(ranMs < 3_000, `${a.stateTo(b)} after ${ranMs} ms`);
      timers.nowMs += 900;
      await timers.advance(300);
      ranMs += 300;
    }
  });
});

Deno.test("Prober takes a ping that was delayed and yet sent enough requests", async () => {
  await withHosts(2, async (fabric, timers) => {
    const [a, b] = fabric.hosts as [FakeHost, FakeHost];
    fabric.drops = () => true;
    fabric.startMs = 600;
    const tookMs = await timeUntil(timers, () => a.stateTo(b) === "dead");
    assert.ok(tookMs <= 3_000, `${tookMs} ms`);
  });
});

Deno.test("Prober ignores a ping that its own host has delayed", async () => {
  await withHosts(2, async (fabric, timers) => {
    const [a, b] = fabric.hosts as [FakeHost, FakeHost];
    fabric.drops = () => true;
    fabric.attemptMs = 900;
    await timers.advance(10_000);
    assert.equal(a.stateTo(b), "alive");
    fabric.attemptMs = 200;
    await timers.advance(5_000);
    assert.equal(a.stateTo(b), "dead");
  });
});

Deno.test("Prober ignores a ping that ends after its peer was removed", async () => {
  await withHosts(3, async (fabric, timers) => {
    const [a, , c] = fabric.hosts as [FakeHost, FakeHost, FakeHost];
    let pings = 0;
    let ended = 0;
    const ping = fabric.ping.bind(fabric);
    fabric.attemptMs = 280;
    fabric.ping = async (from, ...rest) => {
      if (!isOf(a)(from)) return await ping(from, ...rest);
      pings++;
      const found = await ping(from, ...rest);
      ended++;
      return found;
    };
    fabric.drops = (from, to) => isOf(c)(from) || isOf(c)(to);
    await timeUntil(timers, () => pings > 0);
    const { changes } = a;
    c.prober.stop();
    fabric.hosts.pop();
    await timeUntil(timers, () => ended === pings);
    await timers.advance(100);
    assert.equal(a.changes, changes);
    assert.deepEqual(a.prober.paths.map(({ peer }) => peer), ["h1"]);
  });
});

Deno.test("a host without peers has no timer and no socket", async () => {
  await withHosts(1, async ({ addresses }) => {
    await Promise.resolve();
    assert.deepEqual(addresses, []);
  });
});

Deno.test("probes go on when the keys change one after the other", async () => {
  await withHosts(2, async ({ hosts: [a, b], keys }, timers) => {
    for (let id = 2; id <= 6; id++) {
      keys.push(probeKey(id, id));
      keys.splice(0, keys.length - 3);
      await timers.advance(5_000);
      assert.equal(a!.stateTo(b!), "alive");
      assert.deepEqual(a!.prober.paths[0]!.loss, { out: 0, in: 0 });
    }
  });
});

Deno.test("an attacker gets no answer", async (t) => {
  await withHosts(3, async (fabric, timers) => {
    const { hosts, sent } = fabric;
    const [a, b, c] = hosts as [FakeHost, FakeHost, FakeHost];
    await timers.advance(1_000);
    const [last] = sent.filter(({ from, to, payload }) =>
      from === a.gateway && to === b.gateway &&
      decodePacket(payload)?.kind === "request"
    ).slice(-1);
    const recorded = last!.payload;
    const genuine = openPacket(recorded, [KEY])!;
    const next = { ...genuine, number: genuine.number + 1_000 };
    const sealed = sealPacket(next, KEY);
    const forged = sealed.slice();
    forged[PACKET_BYTES - 1]! ^= 1;
    const stranger = { ...next, from: nodeId("cluster", "x") };
    const rows: [string, Uint8Array, string, number][] = [
      ["nothing", new Uint8Array(), a.gateway, PROBE_PORT],
      ["noise", new Uint8Array(1472).fill(7), a.gateway, PROBE_PORT],
      ["a forged packet", forged, a.gateway, PROBE_PORT],
      [
        "a packet of another key",
        sealPacket(next, probeKey(1, 6)),
        a.gateway,
        PROBE_PORT,
      ],
      ["a replayed packet", recorded, a.gateway, PROBE_PORT],
      [
        "a packet of a stranger",
        sealPacket(stranger, KEY),
        "198.18.9.9",
        PROBE_PORT,
      ],
      [
        "a stranger's packet from a member's address",
        sealPacket(stranger, KEY),
        a.gateway,
        PROBE_PORT,
      ],
      ["a member's packet from elsewhere", sealed, "198.18.9.9", PROBE_PORT],
      ["a member's packet from another member", sealed, c.gateway, PROBE_PORT],
      ["a member's packet from another port", sealed, a.gateway, 53],
      [
        "a packet for another host",
        sealPacket({ ...next, to: nodeId("cluster", "h2") }, KEY),
        a.gateway,
        PROBE_PORT,
      ],
      [
        "a packet for an earlier process",
        sealPacket({ ...next, peerSession: 99n }, KEY),
        a.gateway,
        PROBE_PORT,
      ],
      [
        "an answer",
        sealPacket({ ...next, kind: "answer" }, KEY),
        a.gateway,
        PROBE_PORT,
      ],
    ];
    for (const [name, payload, from, port] of rows) {
      await t.step(name, async () => {
        sent.length = 0;
        fabric.deliver(b.gateway, { payload, from, port });
        await timers.advance(0);
        assert.deepEqual(sent, []);
      });
    }
    await t.step(
      "the genuine next packet gets one, no larger than itself",
      async () => {
        sent.length = 0;
        const payload = sealPacket({ ...next, number: next.number + 1 }, KEY);
        fabric.deliver(b.gateway, {
          payload,
          from: a.gateway,
          port: PROBE_PORT,
        });
        await timers.advance(0);
        const answers = sent.filter(({ from }) => from === b.gateway);
        assert.deepEqual(answers.map(({ to }) => to), [a.gateway]);
        assert.ok(answers[0]!.payload.length <= payload.length);
      },
    );
  });
});

Deno.test("a member that knows the key passes for another one that it can send as", async () => {
  await withHosts(3, async (fabric, timers) => {
    const { hosts, sent } = fabric;
    const [a, b] = hosts as [FakeHost, FakeHost];
    const { payload } = sent.findLast(({ from, to }) =>
      from === a.gateway && to === b.gateway
    )!;
    const genuine = openPacket(payload, [KEY])!;
    const next = { ...genuine, kind: "request" as const };
    const forged = sealPacket({ ...next, number: next.number + 50 }, KEY);
    const { refused } = b.prober.counts;
    fabric.deliver(b.gateway, {
      payload: forged,
      from: a.gateway,
      port: PROBE_PORT,
    });
    await timers.advance(0);
    assert.equal(b.prober.counts.refused, refused);
    // It can do no more than that: the true host is heard again.
    await timers.advance(60_000);
    assert.equal(b.stateTo(a), "alive");
  });
});

Deno.test("a member that sends without end gets no more than its share of answers", async () => {
  await withHosts(2, async (fabric, timers) => {
    const { hosts: [a, b], sent } = fabric;
    const first = openPacket(
      sent.findLast(({ from }) => from === a!.gateway)!.payload,
      [KEY],
    )!;
    sent.length = 0;
    for (let i = 1; i <= 1_000; i++) {
      const packet = { ...first, kind: "request", number: first.number + i };
      fabric.deliver(b!.gateway, {
        payload: sealPacket(packet as typeof first, KEY),
        from: a!.gateway,
        port: PROBE_PORT,
      });
    }
    await timers.advance(900);
    const answers = sent.filter(({ from }) => from === b!.gateway);
    assert.ok(
      answers.length > 0 && answers.length <= 60,
      String(answers.length),
    );
  });
});
