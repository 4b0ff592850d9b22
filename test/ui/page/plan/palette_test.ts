import assert from "node:assert/strict";
import {
  ADDRESS_LOOKS,
  contrastOf,
  FREE,
  GROUND,
  INK,
  type Look,
  mixColours,
  PATH_LOOKS,
  SLICE_LOOKS,
} from "../../../../src/ui/page/plan/palette.ts";

const SETS: Readonly<Record<string, Readonly<Record<string, Look>>>> = {
  subnets: SLICE_LOOKS,
  addresses: ADDRESS_LOOKS,
  paths: PATH_LOOKS,
};
const THEMES = ["light", "dark"] as const;

/**
 * Linear RGB as seen with a kind of colour blindness (Machado, Oliveira and
 * Fernandes 2009, severity 1.0), or without colours.
 */
const SIGHTS: Readonly<Record<string, readonly (readonly number[])[]>> = {
  "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

Deno.test("the looks of each map differ without colour: by letter and mark, or label", () => {
  for (const [name, looks] of Object.entries(SETS)) {
    const all = Object.values(looks);
    const letters = new Set(all.map(({ letter, mark }) => letter + mark));
    assert.equal(letters.size, all.length, name);
    assert.equal(new Set(all.map(({ label }) => label)).size, all.length);
  }
});

Deno.test("cells stand out from the ground, and marks from cells (WCAG 1.4.11)", () => {
  for (const [name, looks] of Object.entries(SETS)) {
    for (const [state, { colours, mark }] of Object.entries(looks)) {
      for (const theme of THEMES) {
        const of = `${name} ${state} ${theme}`;
        const onGround = contrastOf(colours[theme], GROUND[theme]);
        assert.ok(onGround >= 3, `${of} on the ground: ${onGround}`);
        const onFree = contrastOf(colours[theme], FREE[theme]);
        assert.ok(onFree >= 2.5, `${of} beside a free one: ${onFree}`);
        if (mark === "plain") continue;
        const ink = contrastOf(colours[theme], INK[theme]);
        assert.ok(ink >= 3, `the mark of ${of}: ${ink}`);
      }
    }
  }
});

Deno.test("subnets and addresses in use, at fault and kept can be told apart by colour-blind people", () => {
  for (const looks of [SLICE_LOOKS, ADDRESS_LOOKS]) {
    for (const theme of THEMES) {
      for (const [sight, matrix] of Object.entries(SIGHTS)) {
        const seen = Object.entries(looks).map(([state, { colours }]) =>
          [state, seenAs(colours[theme], matrix)] as const
        );
        for (const [i, [a, labA]] of seen.entries()) {
          for (const [b, labB] of seen.slice(i + 1)) {
            const far = Math.hypot(...labA.map((x, k) => x - labB[k]!));
            assert.ok(far >= 15, `${theme} ${sight} ${a} ${b}: ${far}`);
          }
        }
      }
    }
  }
});

Deno.test("mixColours() goes from one colour to the other", () => {
  assert.equal(mixColours("#000000", "#ffffff", 0), "#000000");
  assert.equal(mixColours("#000000", "#ffffff", 1), "#ffffff");
  assert.equal(mixColours("#102030", "#304050", 0.5), "#203040");
});

/** A colour as CIE L*a*b* (D65), as somebody sees it. */
function seenAs(
  colour: string,
  matrix: readonly (readonly number[])[],
): number[] {
  const linear = [1, 3, 5].map((at) => {
    const share = parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const times = (rows: readonly (readonly number[])[], v: readonly number[]) =>
    rows.map((row) => row.reduce((sum, x, i) => sum + x * v[i]!, 0));
  const rgb = times(matrix, linear).map((x) => Math.min(1, Math.max(0, x)));
  const [x, y, z] = times([
    [0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505],
    [0.2126, 0.7152, 0.0722],
    [0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089],
  ], rgb).map((t) => t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116) as [
    number,
    number,
    number,
  ];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
