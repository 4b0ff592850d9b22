/** An echo request to the far end that was not answered. */
export interface LostEcho {
  /** The MTU that a router or this host reported; undefined for none. */
  readonly mtuBytes: number | undefined;
  /** The host that reported the far end as unreachable; undefined for none. */
  readonly errorFrom?: string | undefined;
  /** Whether the request got to the far end; undefined where it cannot tell. */
  readonly hasArrived: boolean | undefined;
}

/** The names of both ends. */
export interface Ends {
  readonly from: string;
  readonly to: string;
}

/** The fault of a path on which no small packet is answered, as a sentence. */
export function describeDead(lost: LostEcho, { from, to }: Ends): string {
  if (lost.hasArrived) {
    return `packets get from ${from} to ${to}, and no answer comes back: they are lost on the way from ${to} to ${from}`;
  }
  if (lost.errorFrom !== undefined) {
    return `no packet gets from ${from} to ${to}: ${lost.errorFrom} reports it as unreachable`;
  }
  return lost.hasArrived === undefined
    ? `no packet gets from ${from} to ${to} and back`
    : `no packet gets from ${from} to ${to}`;
}

/** The fault of a path on which small packets are answered and full ones are not. */
export function describeNarrow(
  lost: LostEcho,
  { from, to, packetBytes }: Ends & { readonly packetBytes: number },
): string {
  const full = `packets of ${packetBytes} bytes`;
  if (lost.mtuBytes !== undefined) {
    return `${full} do not get from ${from} to ${to}: a host on the way passes at most ${lost.mtuBytes} bytes`;
  }
  if (lost.hasArrived) {
    return `${full} are lost on the way from ${to} to ${from}, and small ones are not: a link there has a smaller MTU`;
  }
  return lost.hasArrived === undefined
    ? `${full} are lost between ${from} and ${to}, and small ones are not: a link there has a smaller MTU`
    : `${full} are lost on the way from ${from} to ${to}, and small ones are not: a link there has a smaller MTU`;
}
