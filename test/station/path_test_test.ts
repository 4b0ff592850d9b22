import assert from "node:assert/strict";
import { parseAddress } from "../../src/net/address.ts";
import { type FarEnd, testPath } from "../../src/station/path_test.ts";
import type { Station } from "../../src/station/stations.ts";

const OWN = ["172.16.0.9", "fd00::9"].map(parseAddress);
const FAR = ["172.16.4.9", "fd00:4::9"].map(parseAddress);

interface Fault {
  /** Sizes that get to the far end, and those that come back. Default: all. */
  readonly there?: number;
  readonly back?: number;
  /** Requests that are lost before one arrives. */
  readonly lostFirst?: number;
  readonly tcp?: string;
}

/** Ends on a path that passes packets up to a size. */
function createEnds(
  { there = 9999, back = 9999, lostFirst = 0, tcp = "" }: Fault,
): {
  readonly own: Station;
  readonly far: FarEnd;
} {
  const counts = { 4: 0, 6: 0 };
  let lost = 0;
  const own: Station = {
    ...{ addresses: OWN, mtuBytes: 1500, port: 1, limit: "" },
    ping: ({ family }, bytes = 84) => {
      const arrives = lost++ >= lostFirst && bytes <= there;
      if (arrives) counts[family]++;
      const isAnswered = arrives && bytes <= back;
      return Promise.resolve({
        ...{ isAnswered, mtuBytes: undefined },
        ...isAnswered && { roundTripMs: 0.5 },
      });
    },
    exchange: () => Promise.resolve(tcp),
    countEchoes: () => Promise.resolve(counts),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const countEchoes = () => Promise.resolve({ ...counts });
  const far = { addresses: FAR, mtuBytes: 1400, port: 2, countEchoes };
  return { own, far };
}

Deno.test("testPath() finds the fault of a path, and its direction, over each family", async (t) => {
  const rows: readonly [name: string, fault: Fault, problems: string[]][] = [
    ["a sound path", {}, []],
    ["two lost packets are no fault", { lostFirst: 2 }, []],
    ["nothing arrives", { there: 0 }, ["no packet gets from A to B"]],
    ["nothing comes back", { back: 0 }, [
      "packets get from A to B, and no answer comes back: they are lost on the way from B to A",
    ]],
    ["full packets do not arrive", { there: 1300 }, [
      "packets of 1400 bytes are lost on the way from A to B, and small ones are not: a link there has a smaller MTU",
    ]],
    ["full packets do not come back", { back: 1300 }, [
      "packets of 1400 bytes are lost on the way from B to A, and small ones are not: a link there has a smaller MTU",
    ]],
    ["TCP breaks", { tcp: "no connection within 5 s" }, [
      "TCP from A to B: no connection within 5 s",
    ]],
  ];
  for (const [name, fault, problems] of rows) {
    await t.step(name, async () => {
      const { own, far } = createEnds(fault);
      const results = await testPath(own, far);
      const isDead = fault.there === 0 || fault.back === 0;
      const rest = {
        packetBytes: 1400,
        roundTripMs: isDead ? undefined : 0.5,
        triedTcp: !isDead,
      };
      assert.deepEqual(
        results,
        ([["172.16.0.9", "172.16.4.9", 4], [
          "fd00::9",
          "fd00:4::9",
          6,
        ]] as const)
          .map(([from, to, family]) => ({
            ...{ family, from, to, ...rest },
            problems: problems.map((text) =>
              text.replaceAll(/\bA\b/g, from).replaceAll(/\bB\b/g, to)
            ),
          })),
      );
    });
  }
});

Deno.test("testPath() tests only what both ends have", async () => {
  const { own, far } = createEnds({ tcp: "not tried" });
  const results = await testPath(own, {
    ...far,
    addresses: FAR.slice(1),
    port: 0,
  });
  assert.deepEqual(
    results.map((
      { family, triedTcp, problems },
    ) => [family, triedTcp, problems]),
    [
      [6, false, []],
    ],
  );
});
