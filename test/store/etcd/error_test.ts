import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { NetError } from "../../../src/base/error.ts";
import { type EtcdProblem, problemOf } from "../../../src/store/etcd/error.ts";

type Row = readonly [
  error: unknown,
  says: RegExp,
  problem: Pick<EtcdProblem, "code" | "retry" | "isUnwritten">,
];

const ELSEWHERE = {
  code: "unavailable",
  retry: "elsewhere",
  isUnwritten: true,
} as const;
const UNKNOWN = { ...ELSEWHERE, isUnwritten: false } as const;
const REFUSED = {
  code: "failed_precondition",
  retry: "never",
  isUnwritten: true,
} as const;
const TOKEN = { ...ELSEWHERE, retry: "token" } as const;

function etcd(code: Code, message: string): ConnectError {
  return new ConnectError(`etcdserver: ${message}`, code);
}

function system(code: string, message = code): ConnectError {
  const cause = Object.assign(new Error(message), { code });
  return new ConnectError(
    message,
    Code.Unavailable,
    undefined,
    undefined,
    cause,
  );
}

// Messages of etcd 3.4 to 3.6, of Deno 2.9 and of Connect.
const ROWS: readonly Row[] = [
  [etcd(Code.Unavailable, "no leader"), /no leader/, ELSEWHERE],
  [etcd(Code.Unavailable, "leader changed"), /electing a leader/, UNKNOWN],
  [etcd(Code.Unavailable, "request timed out"), /did not decide/, UNKNOWN],
  [
    etcd(
      Code.Unavailable,
      "request timed out, possibly due to previous leader failure",
    ),
    /did not decide in time/,
    UNKNOWN,
  ],
  [etcd(Code.Unavailable, "server stopped"), /connection broke/, UNKNOWN],
  [
    system("ERR_STREAM_PREMATURE_CLOSE", "Premature close"),
    /connection broke/,
    UNKNOWN,
  ],
  [
    etcd(Code.ResourceExhausted, "mvcc: database space exceeded"),
    /alarm NOSPACE.*etcdctl alarm disarm/,
    { code: "unavailable", retry: "never", isUnwritten: false },
  ],
  [
    etcd(Code.ResourceExhausted, "too many requests"),
    /has too many/,
    ELSEWHERE,
  ],
  [
    etcd(Code.Unavailable, "rpc not supported for learner"),
    /does not take requests/,
    ELSEWHERE,
  ],
  [etcd(Code.DataLoss, "corrupt cluster"), /alarm CORRUPT/, REFUSED],
  [etcd(Code.Unauthenticated, "invalid auth token"), /token/, TOKEN],
  [
    etcd(Code.InvalidArgument, "revision of auth store is old"),
    /token/,
    TOKEN,
  ],
  [
    etcd(Code.InvalidArgument, "user name is empty"),
    /--store-user and --store-password-file/,
    { ...TOKEN, code: "failed_precondition" },
  ],
  [
    etcd(
      Code.InvalidArgument,
      "authentication failed, invalid user ID or password",
    ),
    /refuses the user or the password/,
    REFUSED,
  ],
  [etcd(Code.PermissionDenied, "permission denied"), /grant a role/, REFUSED],
  [
    etcd(Code.InvalidArgument, "too many operations in txn request"),
    /--max-txn-ops 128/,
    REFUSED,
  ],
  [
    etcd(Code.InvalidArgument, "request is too large"),
    /--max-request-bytes/,
    REFUSED,
  ],
  [
    new ConnectError(
      "grpc: received message larger than max (3 vs. 2)",
      Code.ResourceExhausted,
    ),
    /--max-request-bytes/,
    REFUSED,
  ],
  [system("ECONNREFUSED"), /nothing listens there/, ELSEWHERE],
  [system("ENOTFOUND"), /no host of that name/, ELSEWHERE],
  [system("EHOSTUNREACH"), /no way to that host/, UNKNOWN],
  [new ConnectError("HTTP 503", Code.Unavailable), /a proxy/, UNKNOWN],
  [system("ECONNRESET", "read ECONNRESET"), /connection broke/, UNKNOWN],
  [
    new ConnectError("the operation timed out", Code.DeadlineExceeded),
    /did not answer in time/,
    UNKNOWN,
  ],
  [
    new ConnectError("PING timed out", Code.Unavailable),
    /did not answer in time/,
    UNKNOWN,
  ],
  [
    system("UNKNOWN", "invalid peer certificate: UnknownIssuer"),
    /--store-ca/,
    REFUSED,
  ],
  [
    system("UNKNOWN", "invalid peer certificate: Expired"),
    /renew it, and look at both clocks/,
    REFUSED,
  ],
  [
    new ConnectError("unsupported content type text/html", Code.Unknown),
    /not etcd/,
    { ...REFUSED, isUnwritten: false },
  ],
  [
    new NetError("failed_precondition", "no such file"),
    /^no such file$/,
    REFUSED,
  ],
  [new Error("Nothing was sent"), /connection broke/, ELSEWHERE],
  [new Error("odd"), /failed unexpectedly: Error: odd/, UNKNOWN],
];

Deno.test("problemOf() names the way out, and whether a commit may have been written", async (t) => {
  for (const [error, says, expected] of ROWS) {
    await t.step(String(error), () => {
      const { code, retry, isUnwritten, isCompacted, ...rest } = problemOf(
        error,
      );
      assert.match(rest.says, says);
      assert.deepEqual({ code, retry, isUnwritten }, expected);
      assert.equal(isCompacted, false);
      assert.equal(rest.cause, error);
    });
  }
});

Deno.test("problemOf() knows a revision that was compacted away", () => {
  const error = etcd(
    Code.OutOfRange,
    "mvcc: required revision has been compacted",
  );
  assert.ok(problemOf(error).isCompacted);
});
