import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Call } from "./call.ts";
import { parseDuration, parseInteger } from "./flags.ts";
import type { Flag } from "./flag.ts";

// Which records of the past are listed.

/** The most that one answer of the agent holds. */
const MAX_LIMIT = 1_000;

export const LIMIT: Flag<number> & { readonly default: string } = {
  name: "limit",
  value: "N",
  description: `at most so many, 1 to ${MAX_LIMIT}`,
  default: "50",
  parse: parseInteger(1, MAX_LIMIT),
};

/** @param done what is within the time: `was held` */
export function createSince(done: string): Flag<number> {
  return {
    name: "since",
    value: "DURATION",
    description: `only what ${done} within this time before now, such as 24h`,
    parse: parseDuration,
  };
}

/** The field of a request for that; empty where it is not given. */
export function readSince(
  call: Call,
  flag: Flag<number>,
): { readonly since?: Timestamp } {
  const ms = call.value(flag);
  return ms === undefined ? {} : { since: timestampFromMs(call.io.now() - ms) };
}
