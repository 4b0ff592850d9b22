import assert from "node:assert/strict";
import type { ProbePacket } from "../../../src/probe/plan/packet.ts";
import {
  ANSWER_MS,
  Path,
  type PathState,
} from "../../../src/probe/plan/path.ts";

/** One end of a path. */
class End {
  path = new Path();

  constructor(public session: bigint) {}

  make(
    kind: ProbePacket["kind"],
    nowMs: number,
    { echo = 0, isFull = false } = {},
  ): ProbePacket & { readonly isFull: boolean } {
    const sent = this.path.send(kind, { nowMs, isFull });
    const rest = { keyId: 1, from: 1n, to: 2n };
    return { kind, ...rest, session: this.session, echo, ...sent, isFull };
  }
}

type Drops = (packet: { readonly isFull: boolean }) => boolean;

/** Two hosts that probe each other: what they send arrives at once, or never. */
class World {
  readonly a = new End(11n);
  readonly b = new End(22n);
  nowMs = 1_000;
  /** Whether a packet is lost on its way to `b`, and to `a`. */
  toB: Drops = () => false;
  toA: Drops = () => false;

  /** Plays rounds of a second: a train from each end, and its answers. */
  play(seconds: number, { small = 2, full = 1 } = {}): void {
    for (let i = 0; i < seconds; i++) {
      for (let n = 0; n < small + full; n++) {
        const isFull = n >= small;
        this.#request(this.a, this.b, isFull);
        this.#request(this.b, this.a, isFull);
      }
      this.nowMs += ANSWER_MS;
      this.a.path.expire(this.nowMs);
      this.b.path.expire(this.nowMs);
      this.nowMs += 1_000 - ANSWER_MS;
    }
  }

  states(): PathState[] {
    return [this.a.path.state, this.b.path.state];
  }

  #request(from: End, to: End, isFull: boolean): void {
    const request = from.make("request", this.nowMs, { isFull });
    if (!this.#carry(request, from, to)) return;
    const echo = request.number;
    this.#carry(to.make("answer", this.nowMs, { echo }), to, from);
  }

  #carry(
    packet: ProbePacket & { readonly isFull: boolean },
    from: End,
    to: End,
  ): boolean {
    const drops = from === this.a ? this.toB : this.toA;
    if (drops(packet)) return false;
    const { session, path } = to;
    return path.receive(packet, { session, nowMs: this.nowMs });
  }
}

/** Drops one packet in five. */
function oneInFive(): Drops {
  let count = 0;
  return () => count++ % 5 === 4;
}

Deno.test("a path is unmeasured until the first answer, then alive", () => {
  const world = new World();
  assert.deepEqual(world.states(), ["unmeasured", "unmeasured"]);
  world.play(1);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  world.play(60);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  assert.deepEqual(world.a.path.loss, { out: 0, in: 0 });
  assert.equal(world.a.path.rttMs, 0);
  assert.ok(!world.a.path.isBoosted(world.nowMs));
});

Deno.test("a path that was never alive is not dead: the peer may not probe", () => {
  const world = new World();
  world.toB = world.toA = () => true;
  world.play(5);
  assert.equal(world.a.path.isSilent(world.nowMs), false);
  world.a.path.notePing("lost", world.nowMs);
  assert.deepEqual(world.states(), ["unmeasured", "unmeasured"]);
});

Deno.test("a path is dead if probes and pings are lost, and alive after two answers", () => {
  const world = new World();
  world.play(3);
  world.toB = world.toA = () => true;
  world.play(1);
  for (const { path } of [world.a, world.b]) {
    assert.ok(path.isSilent(world.nowMs));
    assert.equal(path.state, "alive", "only pings decide");
    path.notePing("lost", world.nowMs + 300);
    assert.equal(path.state, "dead");
    assert.ok(!path.hearsPeer(world.nowMs + 300));
  }
  world.toB = world.toA = () => false;
  world.play(1, { small: 1, full: 0 });
  assert.deepEqual(world.states(), ["dead", "dead"], "one may be chance");
  world.play(1);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  world.play(3);
  assert.deepEqual(
    world.states(),
    ["alive", "alive"],
    "an outage does not count as loss",
  );
});

Deno.test("a path on which pings are answered is not dead", () => {
  const world = new World();
  world.play(3);
  world.toB = () => true;
  world.play(1);
  world.a.path.notePing("answered", world.nowMs);
  assert.equal(world.a.path.state, "alive", "its agent may be slow");
  world.play(2);
  world.a.path.notePing("answered", world.nowMs);
  assert.equal(world.a.path.state, "unanswered");
  world.a.path.notePing("lost", world.nowMs);
  assert.equal(world.a.path.state, "dead");
});

Deno.test("a ping that ends after an answer has come decides nothing", () => {
  const world = new World();
  world.play(3);
  world.toB = () => true;
  world.play(2);
  world.toB = () => false;
  world.play(1);
  world.a.path.notePing("lost", world.nowMs);
  assert.equal(world.a.path.state, "lossy", "and not dead");
});

Deno.test("the end whose packets are lost still hears the other", () => {
  const world = new World();
  world.play(3);
  world.toB = () => true;
  world.play(3);
  for (const { path } of [world.a, world.b]) {
    path.notePing("lost", world.nowMs);
    assert.equal(path.state, "dead");
  }
  assert.ok(world.a.path.hearsPeer(world.nowMs));
  assert.ok(!world.b.path.hearsPeer(world.nowMs));
});

Deno.test("both ends see loss in one direction, and know which one", () => {
  const world = new World();
  world.play(10);
  world.toB = oneInFive();
  world.play(3);
  assert.deepEqual(world.states(), ["lossy", "lossy"]);
  assert.deepEqual(world.a.path.isLossy, { out: true, in: false });
  assert.deepEqual(world.b.path.isLossy, { out: false, in: true });
  world.play(30);
  const { out } = world.a.path.loss;
  assert.ok(Math.abs(out - 0.2) < 0.05, String(out));
  assert.ok(Math.abs(world.b.path.loss.in - 0.2) < 0.05);
  world.toB = () => false;
  world.play(2);
  assert.deepEqual(world.states(), ["lossy", "lossy"], "not at once");
  world.play(10);
  assert.deepEqual(world.states(), ["alive", "alive"]);
});

Deno.test("one lost packet raises the rate of requests, and does not make a path lossy", () => {
  const world = new World();
  world.play(10);
  let lost = 0;
  world.toB = () => lost++ === 0;
  world.play(1);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  assert.ok(world.a.path.isBoosted(world.nowMs));
  assert.ok(!world.a.path.isBoosted(world.nowMs + 4_000), "for a while only");
  world.play(20);
  assert.ok(!world.a.path.isBoosted(world.nowMs));
});

Deno.test("a lost full packet is suspicious only if a small one was answered", async (t) => {
  const isFullLost: Drops = ({ isFull }) => isFull;
  const rows: [string, Drops, { small: number; full: number }[], boolean][] = [
    ["both in one train", isFullLost, [{ small: 1, full: 1 }], true],
    ["the full one alone", isFullLost, [{ small: 0, full: 1 }], false],
    [
      "a small one behind it",
      isFullLost,
      [{ small: 0, full: 1 }, { small: 1, full: 0 }],
      true,
    ],
    ["all lost", () => true, [{ small: 1, full: 1 }], false],
    ["none lost", () => false, [{ small: 1, full: 1 }], false],
  ];
  for (const [name, drops, trains, expected] of rows) {
    await t.step(name, () => {
      const world = new World();
      world.play(3);
      world.toB = drops;
      for (const train of trains) world.play(1, train);
      assert.equal(world.a.path.takeWidthDoubt(), expected);
      assert.equal(world.a.path.takeWidthDoubt(), false, "it is taken once");
      assert.equal(
        world.b.path.takeWidthDoubt(),
        false,
        "the way back is wide",
      );
    });
  }
});

Deno.test("full packets that are lost make no path lossy", () => {
  const world = new World();
  world.play(10);
  world.toB = ({ isFull }) => isFull;
  world.play(10);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  assert.deepEqual(world.a.path.loss, { out: 0, in: 0 });
});

Deno.test("losses count only once a path has settled", () => {
  const world = new World();
  world.play(1);
  world.toB = oneInFive();
  world.play(3);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  world.play(5);
  assert.deepEqual(world.states(), ["lossy", "lossy"]);
  world.a.path.clearLoss(world.nowMs);
  assert.equal(world.a.path.state, "alive");
  world.play(3);
  assert.equal(world.a.path.state, "alive");
});

Deno.test("a peer counts as heard after a while only", () => {
  const world = new World();
  world.play(3);
  world.toB = world.toA = () => true;
  world.play(3);
  world.toA = () => false;
  const { path } = world.a;
  world.play(1);
  assert.ok(!path.hearsPeer(world.nowMs - 900), "it was silent until now");
  world.play(3);
  assert.ok(path.hearsPeer(world.nowMs - 900));
  assert.ok(!path.hearsPeer(world.nowMs + 300));
  path.notePing("lost", world.nowMs);
  // A packet may be late on a path that has been dead for a while.
  world.play(3);
  assert.ok(path.hearsPeer(world.nowMs + 300));
  assert.ok(!path.hearsPeer(world.nowMs + 2_000));
});

Deno.test("a narrow path keeps its size until pings find it wide", () => {
  const world = new World();
  world.play(1);
  world.a.path.noteWidth(1400);
  world.play(5);
  assert.equal(world.a.path.state, "narrow");
  assert.equal(world.a.path.narrowBytes, 1400);
  assert.ok(world.a.path.takeWidthDoubt(), "a full packet has arrived");
  world.a.path.noteWidth(undefined);
  assert.equal(world.a.path.state, "alive");
});

Deno.test("no packet counts twice, nor one for an earlier process", async (t) => {
  const world = new World();
  world.play(2);
  const { a, b, nowMs } = world;
  const receive = (packet: ProbePacket) =>
    b.path.receive(packet, { session: b.session, nowMs });
  const packet = a.make("request", nowMs);
  const late = a.make("request", nowMs);
  const rows: [string, ProbePacket, boolean][] = [
    ["the second of two", late, true],
    ["the first, behind it", packet, true],
    ["the first again", packet, false],
    ["the second again", late, false],
    [
      "for an earlier process",
      { ...a.make("request", nowMs), peerSession: 5n },
      false,
    ],
    [
      "of another process, while this one is heard",
      { ...packet, session: 33n, peerSession: 0n },
      false,
    ],
    [
      "of another process that knows this one",
      { ...packet, session: 33n, number: 1 },
      true,
    ],
    ["of the earlier process again", { ...late, peerSession: 0n }, false],
  ];
  for (const [name, row, expected] of rows) {
    await t.step(name, () => assert.equal(receive(row), expected));
  }
});

Deno.test("of a few processes of a peer at most, packets count without a fresh answer until its keys are forgotten", () => {
  const b = new End(22n);
  const meet = (session: bigint) =>
    b.path.receive(
      { ...new End(session).make("request", 0), peerSession: b.session },
      { session: b.session, nowMs: 0 },
    );
  for (let session = 1n; session <= 8n; session++) assert.ok(meet(session));
  assert.ok(!meet(9n));
  b.path.forgetSessions();
  assert.ok(meet(9n));
});

Deno.test("a peer is met after each of many restarts, and no packet of a forgotten process counts", () => {
  const world = new World();
  const { a } = world;
  world.play(3);
  const copies = Array.from({ length: 12 }, (_, i) => {
    const copy = { ...world.b.make("request", world.nowMs), number: 1_000 };
    world.b.path = new Path();
    world.b.session = 100n + BigInt(i);
    world.play(5);
    assert.deepEqual(world.states(), ["alive", "alive"], `restart ${i + 1}`);
    return copy;
  });
  for (const [i, copy] of copies.slice(0, 4).entries()) {
    assert.equal(copy.peerSession, a.session);
    const { session } = a;
    const answer = { ...copy, kind: "answer" as const, echo: 1 };
    for (const packet of [copy, answer]) {
      assert.ok(
        !a.path.receive(packet, { session, nowMs: world.nowMs }),
        `process ${i}`,
      );
    }
  }
});

Deno.test("packets that the network reorders are not lost", async (t) => {
  const rows: readonly [name: string, order: readonly number[]][] = [
    ["two swapped", [1, 0, 2, 3, 4]],
    ["the first of three last", [1, 2, 0, 3, 4]],
    ["two late at once", [2, 0, 1, 4, 3]],
    ["backwards", [4, 3, 2, 1, 0]],
  ];
  for (const [name, order] of rows) {
    await t.step(name, () => {
      const world = new World();
      const { a, b } = world;
      world.play(10);
      for (let round = 0; round < 10; round++) {
        const train = order.map(() => a.make("request", world.nowMs));
        for (const at of order) {
          const { nowMs } = world;
          assert.ok(b.path.receive(train[at]!, { session: b.session, nowMs }));
          const echo = train[at]!.number;
          const answer = b.make("answer", nowMs, { echo });
          a.path.receive(answer, { session: a.session, nowMs });
        }
        world.play(1);
      }
      assert.deepEqual(world.states(), ["alive", "alive"]);
      assert.deepEqual(b.path.loss, { out: 0, in: 0 });
      assert.deepEqual(a.path.loss, { out: 0, in: 0 });
    });
  }
});

Deno.test("a packet that comes later than others may be is a lost one", () => {
  const world = new World();
  const { a, b } = world;
  world.play(10);
  const { nowMs } = world;
  const receive = (packet: ProbePacket) =>
    b.path.receive(packet, { session: b.session, nowMs });
  const train = Array.from({ length: 18 }, () => a.make("request", nowMs));
  for (const packet of train.slice(2)) assert.ok(receive(packet));
  assert.ok(receive(train[1]!), "16 behind");
  assert.ok(!receive(train[0]!), "17 behind");
  assert.ok(b.path.loss.in > 0);
  assert.ok(b.path.loss.in < 0.04, "one of about forty");
});

Deno.test("two ends meet again after one was started again", () => {
  const world = new World();
  world.play(5);
  world.b.path = new Path();
  world.b.session = 23n;
  world.play(5);
  assert.deepEqual(world.states(), ["alive", "alive"]);
  world.play(5);
  assert.deepEqual(world.a.path.loss, { out: 0, in: 0 });
});

Deno.test("silence counts only while this host could hear", () => {
  const world = new World();
  world.play(3);
  const { path } = world.a;
  world.toB = () => true;
  world.play(1);
  assert.ok(path.isSilent(world.nowMs));
  // For most of the two seconds since the last answer it could not.
  path.skipSilence(1_500, world.nowMs);
  assert.ok(!path.isSilent(world.nowMs));
  path.notePing("lost", world.nowMs + 600);
  assert.equal(path.state, "alive");
  path.notePing("lost", world.nowMs + 700);
  assert.equal(path.state, "dead");
});
