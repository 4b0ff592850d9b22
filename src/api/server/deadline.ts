/** The longest time that a timer can run: 2^31 - 1 ms. */
const MAX_TIMER_MS = 0x7fffffff;

/** Milliseconds of the units of the grpc-timeout header. */
const UNITS_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Shortens the deadline in a request's header to the longest that is allowed,
 * and sets it where the client has set none. Without a maximum it is shortened
 * only as far as timers need, and never set.
 *
 * A header that cannot be read is left as it is: the protocol refuses it.
 * Formats: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and
 * https://connectrpc.com/docs/protocol
 */
export function clampDeadline(header: Headers, maxMs?: number): void {
  const grpc = header.get("content-type")?.startsWith("application/grpc");
  const name = grpc ? "grpc-timeout" : "connect-timeout-ms";
  const value = header.get(name);
  const limitMs = Math.min(maxMs ?? MAX_TIMER_MS, MAX_TIMER_MS);
  if (value === null ? maxMs === undefined : !isLater(value, limitMs)) return;
  header.set(name, grpc ? formatGrpc(limitMs) : String(Math.ceil(limitMs)));
}

function isLater(value: string, limitMs: number): boolean {
  const match = /^(\d{1,10})([HMSmun]?)$/.exec(value);
  return match !== null &&
    Number(match[1]) * (UNITS_MS[match[2]!] ?? 1) > limitMs;
}

/** The header has at most eight digits. */
function formatGrpc(ms: number): string {
  return ms < 1e8 ? `${Math.ceil(ms)}m` : `${Math.floor(ms / 1000)}S`;
}
