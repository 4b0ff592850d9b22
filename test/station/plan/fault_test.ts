import assert from "node:assert/strict";
import {
  describeDead,
  describeNarrow,
  type LostEcho,
} from "../../../src/station/plan/fault.ts";

const ENDS = { from: "a", to: "b" };

Deno.test("a fault names the direction as far as it is known", async (t) => {
  const rows: readonly [
    name: string,
    lost: Partial<LostEcho>,
    dead: string,
    narrow: string,
  ][] = [
    [
      "the request does not arrive",
      { hasArrived: false },
      "no packet gets from a to b",
      "packets of 1500 bytes are lost on the way from a to b, and small ones are not: a link there has a smaller MTU",
    ],
    [
      "the answer does not arrive",
      { hasArrived: true },
      "packets get from a to b, and no answer comes back: they are lost on the way from b to a",
      "packets of 1500 bytes are lost on the way from b to a, and small ones are not: a link there has a smaller MTU",
    ],
    [
      "the far end cannot tell",
      {},
      "no packet gets from a to b and back",
      "packets of 1500 bytes are lost between a and b, and small ones are not: a link there has a smaller MTU",
    ],
    [
      "a router reports it",
      { hasArrived: false, errorFrom: "198.18.0.12", mtuBytes: 1400 },
      "no packet gets from a to b: 198.18.0.12 reports it as unreachable",
      "packets of 1500 bytes do not get from a to b: a host on the way passes at most 1400 bytes",
    ],
  ];
  for (const [name, known, dead, narrow] of rows) {
    await t.step(name, () => {
      const lost = { mtuBytes: undefined, hasArrived: undefined, ...known };
      assert.equal(describeDead(lost, ENDS), dead);
      const full = { ...ENDS, packetBytes: 1500 };
      assert.equal(describeNarrow(lost, full), narrow);
    });
  }
});
