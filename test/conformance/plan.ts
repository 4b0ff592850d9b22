import type { JsonObject } from "@bufbuild/protobuf";
import type { ShownCertificate } from "../support/test_authority.ts";

/** The caller: a program on the host in plain text, or a client over TLS. */
export type Role = "plain" | "operator" | "readonly" | "anonymous";

/** A call in certain circumstances, as each client's runner makes it. */
export interface Situation {
  /** Unique in a plan. */
  readonly name: string;
  readonly as: Role;
  /** Such as `stellar.net.v1.IpamService/Allocate`. */
  readonly call: string;
  /** The request as protobuf's JSON has it. Default: an empty one. */
  readonly request?: JsonObject;
  /** Bytes in base64 that are sent in place of the request's. */
  readonly raw?: string;
  /** The call's deadline. Default 20,000. */
  readonly timeoutMs?: number;
  /** When the caller cancels the call, from its beginning. Default: never. */
  readonly cancelAfterMs?: number;
  /** Time without any call before this one. Default 0. */
  readonly pauseMs?: number;
  /** Whether the request is compressed. Default false. */
  readonly gzip?: boolean;
  /**
   * For a call whose answer is a stream: `first` cancels after one message,
   * `all` and `until it ends` read on, and `until it ends` says when the first
   * message has come. `bidi`: the requests are a stream too.
   */
  readonly stream?: "first" | "all" | "until it ends" | "bidi";
}

/** What a runner reads from its standard input. */
export interface Plan {
  /** HOST:PORT of the agent in plain text, and over TLS. */
  readonly plain: string;
  readonly tls: string;
  readonly identities: Readonly<
    Record<Exclude<Role, "plain">, ShownCertificate>
  >;
  readonly situations: readonly Situation[];
}

/** What came of a call. */
export interface Outcome {
  /** Name of the code, such as `NOT_FOUND`. */
  readonly code: string;
  readonly message?: string;
  /** The answer, or the first of a stream, as protobuf's JSON has it. */
  readonly answer?: JsonObject;
  /** Of the error's `ErrorInfo` and `BadRequest`. */
  readonly reason?: string;
  readonly field?: string;
  /** How the answer was compressed, where a client shows it. */
  readonly encoding?: string;
}

/** A line that a runner writes. */
export interface Line {
  /** Name of the situation. */
  readonly name: string;
  /** Whether its stream has begun and has not ended. */
  readonly isOpen?: true;
  readonly outcome?: Outcome;
}
