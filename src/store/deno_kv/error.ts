import { type ErrorCode, NetError } from "../../base/error.ts";

/** The meaning of an error of the engine or the file system. */
interface Meaning {
  /** Matches the error's code, such as `EACCES`, or its message. */
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  /** What is true now, and the way out. */
  readonly says: string;
  /** Whether a commit that failed with it may have been written. */
  readonly outcomeUnknown?: true;
}

// The engine names its conditions only in the message: texts of SQLite, and of
// Deno around them, as seen with Deno 2.9.
const MEANINGS: readonly Meaning[] = [
  {
    pattern: /^ENOSPC|^EDQUOT|database or disk is full/,
    code: "unavailable",
    says: "no space is left on the device; free some and try again",
  },
  {
    // A write failed before the commit: the engine rolled back, and then tried
    // to commit.
    pattern: /no transaction is active/,
    code: "unavailable",
    says: "the engine took it back, most likely because no space is left on " +
      "the device; free some and try again",
  },
  {
    pattern:
      /malformed|not a database|column type|value encoding|deserialize|invalid utf8|invalid tag|end of file|returned no rows/,
    code: "failed_precondition",
    says: "the file is damaged or no state file; restore it from a backup, " +
      "or move it away to start empty",
  },
  {
    pattern: /database (table )?is locked/,
    code: "unavailable",
    says: "another process keeps it locked; stop that process and try again",
  },
  {
    pattern: /^EACCES|^EPERM/,
    code: "failed_precondition",
    says:
      "this user may not write there; run as the owner of the folder, or change its owner",
  },
  {
    pattern: /^EROFS|read-?only database/,
    code: "failed_precondition",
    says:
      "the file or its folder is read-only; make both writable, or choose another folder",
  },
  {
    pattern: /^ENOENT/,
    code: "failed_precondition",
    says: "its folder does not exist; create it",
  },
  {
    pattern: /^EISDIR|^ENOTDIR|^ELOOP|^ENAMETOOLONG|unable to open database/,
    code: "failed_precondition",
    says: "it cannot be a file; name a file in an existing folder",
  },
  {
    pattern: /^ENOLCK|^ENOSYS|^ENOTSUP|^EOPNOTSUPP/,
    code: "failed_precondition",
    says: "its file system has no locks; choose a folder on a local disk",
  },
  {
    pattern: /disk I\/O error|^EIO/,
    code: "unavailable",
    says:
      "the disk reported an error or is full; look at free space and the kernel's log",
    outcomeUnknown: true,
  },
  {
    pattern: /Database is closed|Bad resource ID/,
    code: "unavailable",
    says: "the storage engine has stopped; restart the agent",
    outcomeUnknown: true,
  },
];

const UNEXPECTED: Meaning = {
  pattern: /^/,
  code: "internal",
  says: "the storage engine failed unexpectedly",
  outcomeUnknown: true,
};

/** Whether a commit that failed with this error may have been written. */
export function isOutcomeUnknown(error: unknown): boolean {
  return meaningOf(error).outcomeUnknown ?? false;
}

/**
 * Turns an error of the engine or the file system into a NetError. A NetError
 * stays as it is.
 *
 * @param action what failed, such as `write to "/var/lib/state.db"`
 */
export function toStoreError(error: unknown, action: string): NetError {
  if (error instanceof NetError) return error;
  const { code, says } = meaningOf(error);
  return new NetError(code, `Cannot ${action}: ${says}`, { cause: error });
}

function meaningOf(error: unknown): Meaning {
  const { code, message } = error as { code?: string; message?: string };
  const text = code ?? message ?? "";
  return MEANINGS.find(({ pattern }) => pattern.test(text)) ?? UNEXPECTED;
}
