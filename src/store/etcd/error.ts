import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, NetError } from "../../base/error.ts";

/** The meaning of a failed call to one endpoint of etcd. */
export interface EtcdProblem {
  readonly code: ErrorCode;
  /** What is true now, and the way out unless it passes by itself. */
  readonly says: string;
  /**
   * - `elsewhere`: another endpoint may answer, or this one later
   * - `token`: the same endpoint may answer with a new token
   * - `never`: every endpoint would answer the same
   */
  readonly retry: "elsewhere" | "token" | "never";
  /** Whether a transaction that failed with it has certainly not been carried out. */
  readonly isUnwritten: boolean;
  /** Whether etcd has compacted the requested revision. */
  readonly isCompacted: boolean;
  readonly cause: unknown;
}

interface Row extends Partial<EtcdProblem> {
  /** Matches `code: message` of the error or of one of its causes. */
  readonly pattern: RegExp;
  readonly says: string;
}

const UNWRITTEN = { isUnwritten: true } as const;
const REFUSED = {
  code: "failed_precondition",
  retry: "never",
  isUnwritten: true,
} as const;

// etcd names its conditions in the message (api/v3rpc/rpctypes/error.go), the
// runtime its own by code or message, as seen with etcd 3.4 and Deno 2.9.
const ROWS: readonly Row[] = [
  {
    // Its answer to "hasleader", given before anything else is done.
    pattern: /etcdserver: no leader/,
    says: "it has no leader, most members of the cluster are out of its " +
      "reach; start them, and it goes on by itself",
    ...UNWRITTEN,
  },
  {
    pattern: /database space exceeded/,
    says: "its database is full (alarm NOSPACE); compact and defragment it " +
      'or raise --quota-backend-bytes, then run "etcdctl alarm disarm"',
    // The transaction that fills the database is carried out and refused.
    retry: "never",
  },
  {
    pattern: /corrupt cluster/,
    says: "its data is damaged (alarm CORRUPT); replace the member that " +
      "differs, or restore the cluster from a backup",
    ...REFUSED,
  },
  {
    pattern: /mvcc: required revision/,
    says: "the revision is not there",
    retry: "never",
    isCompacted: true,
    ...UNWRITTEN,
  },
  {
    pattern: /invalid auth token|revision of auth store is old/,
    says: "it does not know the token any more",
    retry: "token",
    ...UNWRITTEN,
  },
  {
    pattern: /user name is empty/,
    says: "it wants a user; give one with --store-user and " +
      "--store-password-file",
    code: "failed_precondition",
    retry: "token",
    ...UNWRITTEN,
  },
  {
    pattern: /authentication failed|user name not found/,
    says: "it refuses the user or the password; look at --store-user and " +
      "--store-password-file",
    ...REFUSED,
  },
  {
    pattern: /permission denied/,
    says: "the user may not read and write the keys of this store; grant a " +
      "role with readwrite to all keys with its prefix",
    ...REFUSED,
  },
  {
    pattern: /too many operations|request is too large|message larger than/,
    says: "it takes less than the store needs; start it with --max-txn-ops " +
      "128 and --max-request-bytes 1572864, its defaults, or more",
    ...REFUSED,
  },
  {
    pattern: /too many requests|not supported for learner|not capable/,
    says: "it does not take requests now, it has too many or is starting",
    ...UNWRITTEN,
  },
  {
    pattern: /etcdserver: (?:leader changed|request timed out)/,
    says: "the cluster did not decide in time: it is electing a leader, has " +
      "too much to do, or most members are out of reach",
  },
  {
    pattern: /ECONNREFUSED/,
    says: "nothing listens there; start etcd, or look at --store",
    ...UNWRITTEN,
  },
  {
    pattern: /ENOTFOUND|EAI_AGAIN/,
    says: "there is no host of that name; look at --store and the name service",
    ...UNWRITTEN,
  },
  {
    pattern: /EHOSTUNREACH|ENETUNREACH/,
    says: "there is no way to that host",
  },
  {
    pattern:
      /UnknownIssuer|CaUsedAsEndEntity|self.signed|unable to (?:get|verify)/i,
    says: "its certificate is not signed by the authority that is trusted; " +
      "look at --store-ca",
    ...REFUSED,
  },
  {
    pattern: /NotValidForName|ALTNAME_INVALID/i,
    says: "its certificate is for other names; name it in --store as its " +
      "certificate does",
    ...REFUSED,
  },
  {
    pattern: /peer certificate|CERT_|certificate has expired/i,
    says: "its certificate does not hold; renew it, and look at both clocks",
    ...REFUSED,
  },
  {
    pattern: /alert.*certif|certif.*alert|CertificateRequired|BadCertificate/i,
    says: "it wants another certificate of the client; look at --store-cert " +
      "and --store-key",
    ...REFUSED,
  },
  {
    pattern: /HTTP 50[234]/,
    says: "a proxy in front of it does not reach it",
  },
  {
    pattern: /content.?type|HTTP \d{3}|unimplemented|HTTP_1_1_REQUIRED/i,
    says: "this is not etcd 3.4 or later; look at --store",
    code: "failed_precondition",
    retry: "never",
  },
  {
    pattern: /PING|timed out|deadline/i,
    says: "it did not answer in time: it hangs, has too much to do, or most " +
      "members of the cluster are out of its reach",
  },
  {
    pattern: /before secure TLS connection/,
    says: "it ended the connection before TLS was spoken; if it speaks plain " +
      'text, write "etcd://" in --store',
    ...UNWRITTEN,
  },
  {
    pattern: /ended at once in plain text/,
    says: "it ended the connection at once; if it speaks TLS, write " +
      '"etcds://" in --store',
    ...UNWRITTEN,
  },
  {
    pattern: /Nothing was sent/,
    says: "the connection broke",
    ...UNWRITTEN,
  },
  {
    pattern:
      /ECONNRESET|EPIPE|REFUSED_STREAM|PREMATURE_CLOSE|closed|destroyed|server stopped/,
    says: "the connection broke",
  },
];

/** The meaning of an error of a call or of its connection. */
export function problemOf(error: unknown): EtcdProblem {
  if (error instanceof NetError) {
    const { code, message: says } = error;
    return {
      code,
      says,
      retry: "never",
      isUnwritten: true,
      isCompacted: false,
      cause: error,
    };
  }
  const text = describe(error);
  const { pattern: _, ...found } =
    ROWS.find(({ pattern }) => pattern.test(text)) ??
      { pattern: /^/, says: `it failed unexpectedly: ${text}` };
  return {
    code: "unavailable",
    retry: "elsewhere",
    isUnwritten: false,
    isCompacted: false,
    cause: error,
    ...found,
  };
}

/** The codes and messages of an error and its causes. */
function describe(error: unknown): string {
  const texts: string[] = [];
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = cause instanceof ConnectError
      ? Code[cause.code]
      : (cause as NodeJS.ErrnoException).code ?? cause.name;
    texts.push(`${code}: ${cause.message}`);
  }
  return texts.join("; ");
}
