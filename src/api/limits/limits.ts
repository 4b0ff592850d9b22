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
  /** Connections at once from one address; more are closed as they come. Not counted: loopback and the unix socket. */
  readonly maxConnectionsPerAddress: number;
  /** Connections at once of one identity, over TLS; more are closed as they come. */
  readonly maxConnectionsPerIdentity: number;
  /** Connections at once from one address over TLS without a certificate that holds; more are closed as they come. */
  readonly maxConnectionsPerAnonymous: number;
  /** The same of all addresses together: others still find room. */
  readonly maxAnonymousConnections: number;
  /** Calls at once of one identity, or of one address without; more are RESOURCE_EXHAUSTED. */
  readonly maxCallsPerClient: number;
  /** The same over TLS without a certificate that holds. */
  readonly maxCallsPerAnonymous: number;
  /** Requests that are being received of one identity, or of one address without; more is RESOURCE_EXHAUSTED. */
  readonly maxReceivedBytesPerClient: number;
  /** The same over TLS without a certificate that holds. */
  readonly maxReceivedBytesPerAnonymous: number;
  /** PING frames in a second on one HTTP/2 connection, which with more ends. Some clients send one a call. */
  readonly maxPingsPerSecond: number;
  /** SETTINGS frames in a second on one HTTP/2 connection, which with more ends. */
  readonly maxSettingsPerSecond: number;
  /** From the start of a connection, or of an HTTP/1.1 request, to the end of its header. */
  readonly headerTimeoutMs: number;
  /** From the start of a request to its last byte, and from an answer's first byte to its last, streams excepted. */
  readonly requestTimeoutMs: number;
  /** How long an HTTP/1.1 connection is kept between requests. */
  readonly keepAliveTimeoutMs: number;
  /** The longest deadline: calls that name a later one or none get this, streams excepted. */
  readonly maxDeadlineMs: number;
  /** How long a connection may last at most after its certificate has ended. */
  readonly recheckIntervalMs: number;
  /** How long a connection may last over TLS without a certificate that holds. */
  readonly maxAnonymousMs: number;
}

/** What holds where nothing else is said. */
export const DEFAULT_LIMITS: RpcLimits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxReceivedBytes: 64 * 1024 * 1024,
  maxHeaderBytes: 16 * 1024,
  maxStreams: 256,
  maxConnections: 16_384,
  maxConnectionsPerAddress: 512,
  maxConnectionsPerIdentity: 256,
  maxConnectionsPerAnonymous: 32,
  maxAnonymousConnections: 1024,
  maxCallsPerClient: 1024,
  maxCallsPerAnonymous: 16,
  maxReceivedBytesPerClient: 16 * 1024 * 1024,
  maxReceivedBytesPerAnonymous: 1024 * 1024,
  maxPingsPerSecond: 10_000,
  maxSettingsPerSecond: 100,
  headerTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  maxDeadlineMs: 300_000,
  recheckIntervalMs: 5_000,
  maxAnonymousMs: 60_000,
};
