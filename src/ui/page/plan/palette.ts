import type { SliceState } from "./slices.ts";

/** Light or dark. */
export type Theme = "light" | "dark";

/** A colour as sRGB, such as "#0072b2". */
export type Colour = string;

/** The states of an address that is not free, those first that an operator has to see. */
export const ADDRESS_STATES = [
  "leaked",
  "reserved",
  "cooling",
  "held",
] as const;

export type ShownAddressState = typeof ADDRESS_STATES[number];

/** The marks of a cell, for those who see no colours: each state has its own. */
export type Mark = "plain" | "cross" | "stripes" | "dot";

/** The look of a state. */
export interface Look {
  /** One or two words. */
  readonly label: string;
  /** The letter in a cell with room for one. */
  readonly letter: string;
  readonly mark: Mark;
  readonly colours: Readonly<Record<Theme, Colour>>;
}

/** The colour of a map behind its cells, and of free ones. */
export const GROUND: Readonly<Record<Theme, Colour>> = {
  light: "#ffffff",
  dark: "#171c24",
};
export const FREE: Readonly<Record<Theme, Colour>> = {
  light: "#e9edf2",
  dark: "#262c36",
};
/** Of marks and letters on a cell. */
export const INK: Readonly<Record<Theme, Colour>> = {
  light: "#ffffff",
  dark: "#0b0d11",
};

// Tones of Okabe and Ito's palette for colour-blind people, moved apart in
// lightness, so that they can be told apart without any colour, too.
const USED = { light: "#005a9c", dark: "#4da3e8" };
const FORMER = { light: "#4a8fb8", dark: "#2f6f99" };
const KEPT = { light: "#8a5a86", dark: "#d79bd0" };
const WRONG = { light: "#c03d00", dark: "#ff8a4c" };

export const SLICE_LOOKS: Readonly<Record<SliceState, Look>> = {
  owned: { label: "owned", letter: "", mark: "plain", colours: USED },
  reserved: { label: "reserved", letter: "R", mark: "stripes", colours: KEPT },
  conflicting: {
    ...{ label: "in conflict", letter: "!", mark: "cross", colours: WRONG },
  },
  released: { label: "released", letter: "r", mark: "dot", colours: FORMER },
};

export const ADDRESS_LOOKS: Readonly<Record<ShownAddressState, Look>> = {
  held: { label: "held", letter: "", mark: "plain", colours: USED },
  cooling: { label: "cooling", letter: "c", mark: "dot", colours: FORMER },
  reserved: { label: "reserved", letter: "R", mark: "stripes", colours: KEPT },
  leaked: { label: "leaked", letter: "!", mark: "cross", colours: WRONG },
};

/** The states of a path, the worst first. */
export const PATH_STATES = [
  "dead",
  "narrow",
  "lossy",
  "unanswered",
  "unmeasured",
  "alive",
] as const;

export type ShownPathState = typeof PATH_STATES[number];

export const PATH_LOOKS: Readonly<Record<ShownPathState, Look>> = {
  dead: { label: "dead", letter: "X", mark: "cross", colours: WRONG },
  narrow: {
    ...{ label: "narrow", letter: "N", mark: "stripes" },
    colours: { light: "#a8641c", dark: "#e8b04d" },
  },
  lossy: {
    ...{ label: "lossy", letter: "L", mark: "stripes", colours: KEPT },
  },
  unanswered: {
    ...{ label: "no answer", letter: "?", mark: "dot", colours: FORMER },
  },
  unmeasured: {
    ...{ label: "not measured", letter: "\u00b7", mark: "dot" },
    colours: { light: "#7a838f", dark: "#69727f" },
  },
  alive: { label: "alive", letter: "", mark: "plain", colours: USED },
};

/** The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio"). */
export function contrastOf(a: Colour, b: Colour): number {
  const [light, dark] = [luminanceOf(a), luminanceOf(b)]
    .sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** A colour between two, linear in sRGB. @param share of the second, 0 to 1 */
export function mixColours(a: Colour, b: Colour, share: number): Colour {
  const [from, to] = [channelsOf(a), channelsOf(b)];
  return "#" +
    from.map((channel, i) =>
      Math.round(channel + (to[i]! - channel) * share)
        .toString(16).padStart(2, "0")
    ).join("");
}

function luminanceOf(colour: Colour): number {
  const [r, g, b] = channelsOf(colour).map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Red, green and blue, 0 to 255. */
function channelsOf(colour: Colour): number[] {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}
