import type { DescMethod } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { AuditLog, AuditRecord } from "../../audit/audit.ts";
import type { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import { type Caller, formatCaller } from "./call_context.ts";
import { fromConnectError, toConnectError } from "../messages/errors.ts";
import { permissionOf, textOf } from "./permissions.ts";

/** Refusals of one caller that are recorded at once, and then one so often, in ms. */
const BURST = 20;
const REFILL_MS = 1_000;
/** Callers whose refusals are counted. */
const MAX_COUNTED = 1_024;
/** What needs no quotes in a record. */
const PLAIN = /^[\x21-\x7e]{1,80}$/;

const log = getLogger(["stellar-net", "rpc"]);

/** A call that is recorded. */
export interface RecordedCall {
  readonly method: DescMethod;
  readonly request: object;
  readonly caller: Caller;
}

/** How many refusals of a caller may still be recorded. */
interface Refused {
  left: number;
  atMs: number;
  /** Refusals that were not recorded since the last that was. */
  leftOut: number;
}

/**
 * Records calls that would change something, with what came of them. Who is
 * refused again and again does not fill the records: of those there is about
 * one a second, which says how many were left out.
 */
export class CallAudit {
  readonly #audit: AuditLog;
  readonly #now: () => number;
  readonly #refused = new Map<string, Refused>();

  constructor({ audit, now }: {
    readonly audit: AuditLog;
    readonly now: () => number;
  }) {
    this.#audit = audit;
    this.#now = now;
  }

  /** Records a call that was answered. Resolves when the answer may go. */
  done(call: RecordedCall): Promise<void> {
    return this.#record(call, { outcome: "ok", message: "" });
  }

  /** Records a call that was let in and failed. */
  async failed(call: RecordedCall, error: unknown): Promise<void> {
    const { code, message } = fromConnectError(
      toConnectError(error, call.method.name),
    );
    if (isBounded(call.caller)) {
      await this.#recordSome(call, { outcome: code, message });
    } else {
      await this.#record(call, { outcome: code, message });
    }
  }

  /** Records a call that was not let in. */
  async refused(call: RecordedCall, refusal: NetError): Promise<void> {
    const { code, message } = refusal;
    await this.#recordSome(call, { outcome: code, message });
  }

  async #recordSome(call: RecordedCall, result: Result): Promise<void> {
    const key = formatCaller(call.caller);
    const counted = this.#countOf(key);
    if (counted.left < 1) {
      counted.leftOut++;
      return;
    }
    const { leftOut } = counted;
    counted.left--;
    counted.leftOut = 0;
    const message = leftOut === 0
      ? result.message
      : `${result.message} (${leftOut} more of ${key} were not recorded)`;
    await this.#record(call, { ...result, message }, false);
  }

  #countOf(key: string): Refused {
    const nowMs = this.#now();
    const known = this.#refused.get(key) ??
      { left: BURST, atMs: nowMs, leftOut: 0 };
    const gained = Math.max(0, nowMs - known.atMs) / REFILL_MS;
    known.left = Math.min(BURST, known.left + gained);
    known.atMs = nowMs;
    this.#refused.delete(key);
    this.#refused.set(key, known);
    for (const oldest of this.#refused.keys()) {
      if (this.#refused.size <= MAX_COUNTED) break;
      this.#refused.delete(oldest);
    }
    return known;
  }

  async #record(
    { method, request, caller }: RecordedCall,
    { outcome, message }: Result,
    isDurable = !permissionOf(method).isFrequent,
  ): Promise<void> {
    const record: AuditRecord = {
      atMs: this.#now(),
      caller: formatCaller(caller),
      from: "address" in caller ? caller.address : "",
      call: method.name,
      subject: describeSubject(method, request),
      outcome,
      message,
    };
    try {
      const kept = this.#audit.record(record, { isDurable });
      if (isDurable) await kept;
      else kept.catch((error) => complain(record, error));
    } catch (error) {
      complain(record, error);
    }
  }
}

/** Whether a caller could push out what others did by failing again and again: all but operators and this host. */
function isBounded(caller: Caller): boolean {
  return caller.kind === "newcomer" || caller.kind === "refused" ||
    caller.kind === "member" && caller.identity.role !== "operator";
}

type Result = Pick<AuditRecord, "outcome" | "message">;

/** What has been done is done: it is not taken back because nobody will know. */
function complain({ caller, call, subject }: AuditRecord, error: unknown) {
  log.error("Cannot record {call} of {subject} by {caller}: {error}", {
    ...{ call, subject, caller, error },
  });
}

function describeSubject(method: DescMethod, request: object): string {
  return permissionOf(method).subject
    .map((path) => textOf(request, path))
    .filter((text) => text !== "")
    .map((text) => PLAIN.test(text) ? text : quote(text))
    .join(" ");
}
