import { type Address, type Family, formatAddress } from "../net/address.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import { describeDead, describeNarrow, type LostEcho } from "./plan/fault.ts";
import type { Station } from "./stations.ts";

/** Seconds for which echo requests are sent before they count as lost: a busy host answers late. */
const ATTEMPTS = 3;

/** The far end of a tested path. */
export type FarEnd = Pick<
  Station,
  "addresses" | "mtuBytes" | "port" | "countEchoes"
>;

/** The test of a path over one family. */
export interface FamilyResult {
  readonly family: Family;
  readonly from: string;
  readonly to: string;
  /** Size of the full packets, in bytes. */
  readonly packetBytes: number;
  /** Round-trip time of a small packet in ms; undefined if none came back. */
  readonly roundTripMs: number | undefined;
  readonly triedTcp: boolean;
  /** The faults, one sentence each; none if the path is sound. */
  readonly problems: readonly string[];
}

/** Tests a path over each family that both ends have. */
export async function testPath(
  own: Station,
  far: FarEnd,
): Promise<FamilyResult[]> {
  return await Promise.all(own.addresses.flatMap((from) => {
    const to = far.addresses.find(({ family }) => family === from.family);
    return to ? [testFamily(own, far, { from, to })] : [];
  }));
}

async function testFamily(
  own: Station,
  far: FarEnd,
  { from, to }: { readonly from: Address; readonly to: Address },
): Promise<FamilyResult> {
  const packetBytes = Math.min(own.mtuBytes, far.mtuBytes);
  const ends = { from: formatAddress(from), to: formatAddress(to) };
  const result = { family: to.family, ...ends, packetBytes };
  const { answer: small, lost: dead } = await ping(own, far, { to });
  const { roundTripMs } = small;
  if (dead) {
    const problems = [describeDead(dead, ends)];
    return { ...result, roundTripMs: undefined, triedTcp: false, problems };
  }
  const { lost: narrow } = await ping(own, far, { to, packetBytes });
  const triedTcp = own.port !== 0 && far.port !== 0;
  const broken = triedTcp ? await own.exchange(to, far.port) : "";
  return {
    ...{ ...result, roundTripMs, triedTcp },
    problems: [
      ...narrow ? [describeNarrow(narrow, { ...ends, packetBytes })] : [],
      ...broken === ""
        ? []
        : [`TCP from ${ends.from} to ${ends.to}: ${broken}`],
    ],
  };
}

/** An echo request of a size; a small one without it. */
interface Packet {
  readonly to: Address;
  readonly packetBytes?: number | undefined;
}

/** Sends echo requests of a size until one is answered. `lost`: none was. */
async function ping(
  own: Station,
  far: FarEnd,
  { to, packetBytes }: Packet,
): Promise<{ readonly answer: PingAnswer; readonly lost?: LostEcho }> {
  let answer = await own.ping(to, packetBytes);
  for (let i = 1; i < ATTEMPTS && !answer.isAnswered; i++) {
    const next = await own.ping(to, packetBytes);
    // The report of a router comes only with the first packets.
    answer = { ...answer, ...next, mtuBytes: next.mtuBytes ?? answer.mtuBytes };
  }
  if (answer.isAnswered) return { answer };
  const { mtuBytes, errorFrom } = answer;
  const lost = {
    mtuBytes,
    errorFrom,
    hasArrived: await arrives(own, far, { to, packetBytes }),
  };
  return { answer, lost };
}

/**
 * Whether a request of a size gets to the far end, whose answer does not come
 * back; undefined where the far end cannot tell.
 */
async function arrives(
  own: Station,
  far: FarEnd,
  { to, packetBytes }: Packet,
): Promise<boolean | undefined> {
  const before = await far.countEchoes();
  await own.ping(to, packetBytes);
  const after = await far.countEchoes();
  return before && after && after[to.family] > before[to.family];
}
