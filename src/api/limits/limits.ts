/** The limits of one server. Times are in ms, sizes in bytes. */
export interface RpcLimits {
  /** Size of a message; a larger one gets RESOURCE_EXHAUSTED. */
  readonly maxMessageBytes: number;
  /** Bytes of all requests that are being received; one too many gets RESOURCE_EXHAUSTED. */
  readonly maxReceivedBytes: number;
  /** All header fields of a request; a larger header gets HTTP status 431. */
  readonly maxHeaderBytes: number;
  /** Concurrent calls on one HTTP/2 connection; clients queue the rest. */
  readonly maxStreams: number;
  /** Connections of one listener; it closes those above the limit. */
  readonly maxConnections: number;
  /** Connections from one address. Loopback and the unix socket have no limit. */
  readonly maxConnectionsPerAddress: number;
  /** Connections of one identity, over TLS. */
  readonly maxConnectionsPerIdentity: number;
  /** Connections from one address over TLS without a valid certificate. */
  readonly maxConnectionsPerAnonymous: number;
  /** Connections of all addresses without a valid certificate, so that others still find room. */
  readonly maxAnonymousConnections: number;
  /** Concurrent calls of one identity, or of one address without; one too many gets RESOURCE_EXHAUSTED. */
  readonly maxCallsPerClient: number;
  /** The same over TLS without a valid certificate. */
  readonly maxCallsPerAnonymous: number;
  /** Bytes of requests that are being received of one identity, or of one address without. */
  readonly maxReceivedBytesPerClient: number;
  /** The same over TLS without a valid certificate. */
  readonly maxReceivedBytesPerAnonymous: number;
  /** PING frames in a second on one HTTP/2 connection; more end it. Some clients send one for each call. */
  readonly maxPingsPerSecond: number;
  /** SETTINGS frames in a second on one HTTP/2 connection; more end it. */
  readonly maxSettingsPerSecond: number;
  /** From the start of a connection, or of an HTTP/1.1 request, to the end of its header. */
  readonly headerTimeoutMs: number;
  /** From the start of a request to its last byte, and from an answer's first byte to its last; not for streams. */
  readonly requestTimeoutMs: number;
  /** Idle time of an HTTP/1.1 connection between requests. */
  readonly keepAliveTimeoutMs: number;
  /** The longest deadline: unary calls with a later one or none get this. */
  readonly maxDeadlineMs: number;
  /** Time for which a connection may outlast its certificate. */
  readonly recheckIntervalMs: number;
  /** Time limit of a connection over TLS without a valid certificate. */
  readonly maxAnonymousMs: number;
}

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
