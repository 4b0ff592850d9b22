import type { DescMethod } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { AuditLog, AuditRecord } from "../../audit/audit.ts";
import type { NetError } from "../../base/error.ts";
import { RecentMap } from "../../base/recent_map.ts";
import { quote } from "../../net/address.ts";
import { fromConnectError, toConnectError } from "../messages/errors.ts";
import { type Caller, formatCaller, textOf } from "./call_context.ts";
import type { Permission } from "./permissions.ts";

/** Failures of one caller that are recorded at once; after that one in REFILL_MS. */
const BURST = 20;
const REFILL_MS = 1_000;
/** Calls of a host that change nothing when it repeats them. */
const REPEATED: ReadonlySet<string> = new Set([
  ...["Join", "ReportOwners", "FinishHandover", "ClaimSubnets"],
  "AllocateSubnet",
]);
/** A repeated call is recorded again after this time, in ms. */
const REPEATED_MS = 600_000;
/** Callers whose failures are counted, and repeated calls that are remembered. */
const MAX_COUNTED = 1_024;
/** Text that a record shows without quotes. */
const PLAIN = /^[\x21-\x7e]{1,80}$/;

/** The fields of an answer that are all false or empty when the call changed nothing. */
const CHANGED: Readonly<Record<string, readonly string[]>> = {
  "stellar.net.v1.AllocateResponse": ["created", "updated"],
  "stellar.net.v1.ReleaseResponse": ["addresses"],
  "stellar.net.v1.ReleaseOthersResponse": ["owners"],
  "stellar.net.v1.ReleaseSubnetsResponse": ["subnets"],
};

const log = getLogger(["stellar-net", "rpc"]);

export interface RecordedCall {
  readonly method: DescMethod;
  readonly permission: Permission;
  readonly request: object;
  readonly caller: Caller;
}

type Result = Pick<AuditRecord, "outcome" | "message">;

/** The failures of a caller that may still be recorded. */
interface Allowance {
  left: number;
  atMs: number;
  /** Failures that were left out since the last one that was recorded. */
  leftOut: number;
}

/**
 * Records the calls that would change something, with their outcome. A caller
 * that is refused again and again does not fill the audit: it gets about one
 * record a second, which says how many were left out.
 */
export class CallAudit {
  readonly #audit: AuditLog;
  readonly #now: () => number;
  readonly #allowances = new RecentMap<string, Allowance>(MAX_COUNTED);
  /** When a repeated call was recorded last, by caller, call and subject. */
  readonly #repeated = new RecentMap<string, number>(MAX_COUNTED);

  constructor({ audit, now }: {
    readonly audit: AuditLog;
    readonly now: () => number;
  }) {
    this.#audit = audit;
    this.#now = now;
  }

  /** Records a call that succeeded and changed something. Resolves when its answer may be sent. */
  async done(call: RecordedCall, response: unknown): Promise<void> {
    if (this.#changedNothing(call, response)) return;
    await this.#record(call, { outcome: "ok", message: "" });
  }

  /**
   * Whether a call left everything as it was: by its answer, or because a host
   * repeats a call that has no effect the second time.
   */
  #changedNothing(
    { method, permission, request, caller }: RecordedCall,
    response: unknown,
  ): boolean {
    if (isDryRun(request) || isEmptyAnswer(method, response)) return true;
    if (!isBounded(caller) || !REPEATED.has(method.name)) return false;
    const nowMs = this.#now();
    const key = [
      formatCaller(caller),
      method.name,
      describeSubject(permission, request),
    ].join(" ");
    const before = this.#repeated.get(key);
    if (before !== undefined && nowMs - before < REPEATED_MS) return true;
    this.#repeated.set(key, nowMs);
    return false;
  }

  /** Records a call that was let in and failed. */
  async failed(call: RecordedCall, error: unknown): Promise<void> {
    const { code, message } = fromConnectError(
      toConnectError(error, call.method.name),
    );
    const result = { outcome: code, message };
    if (isBounded(call.caller)) await this.#recordSome(call, result);
    else await this.#record(call, result);
  }

  /** Records a call that was refused. */
  async refused(
    call: RecordedCall,
    { code, message }: NetError,
  ): Promise<void> {
    await this.#recordSome(call, { outcome: code, message });
  }

  async #recordSome(call: RecordedCall, result: Result): Promise<void> {
    const name = formatCaller(call.caller);
    const { caller } = call;
    const owner = caller.kind === "anonymous" || caller.kind === "refused"
      ? `${name} ${caller.address}`
      : name;
    const allowance = this.#allowanceOf(owner);
    if (allowance.left < 1) {
      allowance.leftOut++;
      return;
    }
    const { leftOut } = allowance;
    allowance.left--;
    allowance.leftOut = 0;
    const message = leftOut === 0
      ? result.message
      : `${result.message} (${leftOut} more of ${name} were not recorded)`;
    await this.#record(call, { ...result, message }, false);
  }

  #allowanceOf(name: string): Allowance {
    const nowMs = this.#now();
    const known = this.#allowances.get(name) ??
      { left: BURST, atMs: nowMs, leftOut: 0 };
    const gained = Math.max(0, nowMs - known.atMs) / REFILL_MS;
    known.left = Math.min(BURST, known.left + gained);
    known.atMs = nowMs;
    this.#allowances.set(name, known);
    return known;
  }

  async #record(
    { method, permission, request, caller }: RecordedCall,
    { outcome, message }: Result,
    isDurable = !permission.isFrequent,
  ): Promise<void> {
    const record: AuditRecord = {
      atMs: this.#now(),
      caller: formatCaller(caller),
      from: "address" in caller ? caller.address : "",
      call: method.name,
      subject: describeSubject(permission, request),
      outcome,
      message,
    };
    try {
      const kept = this.#audit.record(record, { isDurable });
      if (isDurable) await kept;
      else kept.catch((error) => logUnrecorded(record, error));
    } catch (error) {
      logUnrecorded(record, error);
    }
  }
}

/** Whether a request asks for a validation alone. */
function isDryRun(request: object): boolean {
  return "validateOnly" in request && request.validateOnly === true;
}

/** Whether an answer says that nothing was allocated, changed or released. */
function isEmptyAnswer(method: DescMethod, response: unknown): boolean {
  const fields = CHANGED[method.output.typeName];
  if (fields === undefined || response === null) return false;
  const answer = response as Readonly<Record<string, unknown>>;
  const known = fields.map((field) => answer[field])
    .filter((value) => value !== undefined);
  return known.length > 0 &&
    known.every((value) =>
      value === false || Array.isArray(value) && value.length === 0
    );
}

/** Whether a caller's failures are limited, so that they push out nobody else's records: all but operators and this host. */
function isBounded(caller: Caller): boolean {
  return caller.kind === "anonymous" || caller.kind === "refused" ||
    caller.kind === "member" && caller.identity.role !== "operator";
}

/** The change stays made although its record is missing. */
function logUnrecorded(
  { caller, call, subject }: AuditRecord,
  error: unknown,
): void {
  log.error("Cannot record {call} of {subject} by {caller}: {error}", {
    ...{ call, subject, caller, error },
  });
}

function describeSubject({ subject }: Permission, request: object): string {
  return subject.map((path) => textOf(request, path))
    .filter((text) => text !== "")
    .map((text) => PLAIN.test(text) ? text : quote(text))
    .join(" ");
}
