import type { ErrorCode } from "../base/error.ts";

/** A call that would change something, and what came of it. */
export interface AuditRecord {
  /** When it was answered, in ms since 1970. */
  readonly atMs: number;
  /** The caller: `operator alice`, `node host2`, `socket`, `loopback`. */
  readonly caller: string;
  /** The address that it was asked from; empty for the unix socket. */
  readonly from: string;
  /** The call: `RemoveNode`. */
  readonly call: string;
  /** Its subject: a node, a subnet, a container; empty for none. */
  readonly subject: string;
  readonly outcome: "ok" | ErrorCode;
  /** The error's message; empty when it was done. */
  readonly message: string;
}

/** Keeps records of calls that change something. */
export interface AuditLog {
  /**
   * Keeps a record. With `isDurable` it resolves when the record is kept for
   * good; otherwise at once, and the record is kept a moment later.
   */
  record(
    record: AuditRecord,
    options: { readonly isDurable: boolean },
  ): Promise<void>;
}
