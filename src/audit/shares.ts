import type { AuditRecord } from "./audit.ts";

/**
 * The share of the audit that a record counts against. Records of operators and
 * of this host never make room for those of anybody else.
 */
export interface AuditShare {
  readonly kind: keyof typeof LIMITS;
  /** Whose records count together: a node, or the address of a caller without a certificate. */
  readonly owner: string;
}

/** Calls for containers. There are so many that they have a share of their own. */
const CONTAINER_CALLS: ReadonlySet<string> = new Set([
  ...["Allocate", "Release", "ReleaseOthers", "AllocateIP", "ReleaseIP"],
]);

/** Most records of a kind, and of one owner in it, in parts of the records that a store keeps. */
const LIMITS = {
  operator: { all: 1, each: 1 },
  container: { all: 1 / 2, each: 1 / 2 },
  member: { all: 1 / 4, each: 1 / 50 },
  anonymous: { all: 1 / 20, each: 1 / 500 },
} as const;

/** The share of a record. */
export function shareOf(
  { caller, from, call }: Pick<AuditRecord, "caller" | "from" | "call">,
): AuditShare {
  const [role] = caller.split(" ");
  if (role === "node" || role === "readonly") {
    return { kind: "member", owner: caller };
  }
  if (caller === "anonymous" || caller === "refused") {
    return { kind: "anonymous", owner: from };
  }
  return {
    kind: CONTAINER_CALLS.has(call) ? "container" : "operator",
    owner: "",
  };
}

/** Counts records against their shares, the latest first. */
export class ShareCount {
  readonly #maxRecords: number;
  readonly #counts = new Map<string, number>();

  /** @param maxRecords the records that the audit has room for */
  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords;
  }

  /** Counts a record, and returns whether its share has room for it. */
  add({ kind, owner }: AuditShare): boolean {
    const { all, each } = LIMITS[kind];
    const ofOwner = this.#count(`${kind} ${owner}`);
    if (ofOwner > this.#limit(each)) return false;
    return this.#count(kind) <= this.#limit(all);
  }

  #limit(part: number): number {
    return Math.max(1, Math.floor(this.#maxRecords * part));
  }

  #count(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }
}
