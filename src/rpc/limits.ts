/** What one server takes from its clients. Times are in ms, sizes in bytes. */
export interface RpcLimits {
  /** The largest message; a larger one is RESOURCE_EXHAUSTED. */
  readonly maxMessageBytes: number;
  /** Requests that are being received, all together; more is RESOURCE_EXHAUSTED. */
  readonly maxReceivedBytes: number;
  /** All header fields of a request together; more is HTTP status 431. */
  readonly maxHeaderBytes: number;
  /** Calls at once on one HTTP/2 connection; clients queue what is above. */
  readonly maxStreams: number;
  /** Connections at once on one listener; more are closed as they come. */
  readonly maxConnections: number;
  /** From the start of a connection, or of an HTTP/1.1 request, to the end of its header. */
  readonly headerTimeoutMs: number;
  /** From the start of a request to its last byte, streams excepted. */
  readonly requestTimeoutMs: number;
  /** How long an HTTP/1.1 connection is kept between requests. */
  readonly keepAliveTimeoutMs: number;
  /** The longest deadline: calls that name a later one or none get this, streams excepted. */
  readonly maxDeadlineMs: number;
}

/** What holds where nothing else is said. */
export const DEFAULT_LIMITS: RpcLimits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxReceivedBytes: 64 * 1024 * 1024,
  maxHeaderBytes: 16 * 1024,
  maxStreams: 256,
  maxConnections: 16_384,
  headerTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  maxDeadlineMs: 300_000,
};
