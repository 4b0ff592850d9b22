import assert from "node:assert/strict";
import { type ErrorCode, NetError } from "../../../src/base/error.ts";
import {
  isOutcomeUnknown,
  toStoreError,
} from "../../../src/store/deno_kv/error.ts";

/** Errors as Deno 2.9 throws them, and what has to become of them. */
const STEPS: readonly [string, Error, ErrorCode, RegExp, boolean][] = [
  [
    "a full disk, to the engine",
    new TypeError("database or disk is full"),
    "unavailable",
    /no space is left.* free some/,
    false,
  ],
  [
    "a full disk, to the file system",
    withCode("ENOSPC", "No space left on device (os error 28)"),
    "unavailable",
    /no space is left/,
    false,
  ],
  [
    "a full disk, to a large commit",
    new TypeError("cannot commit - no transaction is active"),
    "unavailable",
    /took it back.* no space is left/,
    false,
  ],
  [
    "noise in place of the file",
    new Error("file is not a database"),
    "failed_precondition",
    /damaged.* restore it from a backup/,
    false,
  ],
  [
    "a damaged page",
    new TypeError("database disk image is malformed"),
    "failed_precondition",
    /damaged.* or move it away/,
    false,
  ],
  [
    "a damaged row",
    new TypeError("The value encoding 7 is unknown."),
    "failed_precondition",
    /damaged/,
    false,
  ],
  [
    "a lock by another process",
    new Error("database is locked"),
    "unavailable",
    /another process keeps it locked/,
    false,
  ],
  [
    "a folder of another user",
    withCode("EACCES", "Permission denied (os error 13): open '/x'"),
    "failed_precondition",
    /this user may not write there/,
    false,
  ],
  [
    "a read-only folder, to the engine",
    new Error("attempt to write a readonly database"),
    "failed_precondition",
    /read-only/,
    false,
  ],
  [
    "a read-only file, to the engine",
    new TypeError("Can not write to a read-only database."),
    "failed_precondition",
    /read-only/,
    false,
  ],
  [
    "a read-only file system",
    withCode("EROFS", "Read-only file system (os error 30)"),
    "failed_precondition",
    /read-only/,
    false,
  ],
  [
    "a missing folder",
    withCode("ENOENT", "No such file or directory (os error 2)"),
    "failed_precondition",
    /folder does not exist/,
    false,
  ],
  [
    "a missing folder, to the engine",
    new Error("unable to open database file: /none/x.db"),
    "failed_precondition",
    /cannot be a file/,
    false,
  ],
  [
    "a file system without locks",
    withCode("ENOLCK", "No locks available (os error 37)"),
    "failed_precondition",
    /has no locks/,
    false,
  ],
  [
    "a failing disk",
    new TypeError("disk I/O error"),
    "unavailable",
    /the disk reported an error/,
    true,
  ],
  [
    "an engine that stopped",
    new TypeError("Database is closed."),
    "unavailable",
    /engine has stopped/,
    true,
  ],
  [
    "anything else",
    new TypeError("Value too large (max 65536 bytes)"),
    "internal",
    /failed unexpectedly/,
    true,
  ],
];

Deno.test("toStoreError() says what an error of the engine means", () => {
  for (const [name, cause, code, says] of STEPS) {
    const error = toStoreError(cause, 'open "/x"');
    assert.ok(error instanceof NetError, name);
    assert.equal(error.code, code, name);
    assert.match(error.message, says, name);
    assert.match(error.message, /^Cannot open "\/x": .*[^.]$/, name);
    assert.equal(error.cause, cause, name);
  }
});

Deno.test("toStoreError() leaves a NetError as it is", () => {
  const error = new NetError("cancelled", "Cannot wait: it was given up");
  assert.equal(toStoreError(error, "read"), error);
});

Deno.test("isOutcomeUnknown() tells errors after which a commit may be written", () => {
  for (const [name, cause, , , unknown] of STEPS) {
    assert.equal(isOutcomeUnknown(cause), unknown, name);
  }
});

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
