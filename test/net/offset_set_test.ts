import assert from "node:assert/strict";
import fc from "fast-check";
import { OffsetSet } from "../../src/net/offset_set.ts";

/** The set as a list of booleans: what {@linkcode OffsetSet} has to agree with. */
class Model {
  readonly #isIn: boolean[];

  constructor(size: number) {
    this.#isIn = new Array(size).fill(false);
  }

  set(offset: number, isIn: boolean): void {
    this.#isIn[offset] = isIn;
  }

  next(
    from: number,
    options: { last: number; isIn: boolean },
  ): number | undefined {
    for (let i = from; i <= options.last; i++) {
      if (this.#isIn[i] === options.isIn) return i;
    }
    return undefined;
  }
}

function toBigInt(offset: number | undefined): bigint | undefined {
  return offset === undefined ? undefined : BigInt(offset);
}

for (const bits of [1, 3, 5, 6, 10, 11]) {
  Deno.test(`OffsetSet of ${bits} bits agrees with a list of booleans`, () => {
    const size = 2 ** bits;
    const operation = fc.record({
      from: fc.nat(size - 1),
      length: fc.integer({ min: 1, max: size }),
      isIn: fc.boolean(),
      probe: fc.nat(size - 1),
      last: fc.nat(size - 1),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        const set = new OffsetSet(bits);
        const model = new Model(size);
        for (const { from, length, isIn, probe, last } of operations) {
          for (let i = from; i < Math.min(size, from + length); i++) {
            if (isIn) set.add(BigInt(i));
            else set.delete(BigInt(i));
            model.set(i, isIn);
          }
          assert.equal(
            set.nextIn(BigInt(probe), BigInt(last)),
            toBigInt(model.next(probe, { last, isIn: true })),
          );
          assert.equal(
            set.nextOut(BigInt(probe), BigInt(last)),
            toBigInt(model.next(probe, { last, isIn: false })),
          );
          assert.equal(
            set.has(BigInt(probe)),
            model.next(probe, { last: probe, isIn: true }) === probe,
          );
        }
      }),
      { numRuns: 200 },
    );
  });
}

Deno.test("OffsetSet finds its way in a range of 64 bits", () => {
  const set = new OffsetSet(64);
  const last = 2n ** 64n - 1n;
  for (const offset of [0n, 1n, 2n ** 63n, last]) set.add(offset);
  assert.equal(set.nextOut(0n, last), 2n);
  assert.equal(set.nextOut(2n ** 63n, last), 2n ** 63n + 1n);
  assert.equal(set.nextOut(last, last), undefined);
  assert.equal(set.nextIn(2n, last), 2n ** 63n);
  set.delete(last);
  assert.equal(set.nextIn(2n ** 63n + 1n, last), undefined);
  assert.equal(set.nextOut(last, last), last);
});
