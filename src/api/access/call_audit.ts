import type { DescMethod } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { AuditLog, AuditRecord } from "../../audit/audit.ts";
import type { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import { fromConnectError, toConnectError } from "../messages/errors.ts";
import { type Caller, formatCaller, textOf } from "./call_context.ts";
import type { Permission } from "./permissions.ts";

/** How many failures of one caller are recorded at once; after that one in REFILL_MS. */
const BURST = 20;
const REFILL_MS = 1_000;
/** Callers whose failures are counted. */
const MAX_COUNTED = 1_024;
/** Text that a record shows without quotes. */
const PLAIN = /^[\x21-\x7e]{1,80}$/;

const log = getLogger(["stellar-net", "rpc"]);

/** A call to be recorded. */
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
  readonly #allowances = new Map<string, Allowance>();

  constructor({ audit, now }: {
    readonly audit: AuditLog;
    readonly now: () => number;
  }) {
    this.#audit = audit;
    this.#now = now;
  }

  /** Records a call that succeeded. Resolves when its answer may be sent. */
  done(call: RecordedCall): Promise<void> {
    return this.#record(call, { outcome: "ok", message: "" });
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
    const allowance = this.#allowanceOf(name);
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
    this.#allowances.delete(name);
    this.#allowances.set(name, known);
    for (const oldest of this.#allowances.keys()) {
      if (this.#allowances.size <= MAX_COUNTED) break;
      this.#allowances.delete(oldest);
    }
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
