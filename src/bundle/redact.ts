/** Text in place of a secret. */
const REDACTED = "[redacted]";

/** Join tokens, also truncated ones. */
const TOKEN = /\bstn\d+\.[\w.-]{8,}/g;

/** Patterns of secrets, each with its replacement. */
const SECRETS: readonly (readonly [pattern: RegExp, left: string])[] = [
  [
    /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^]*?(?:-----END \1-----|$)/g,
    REDACTED,
  ],
  [TOKEN, REDACTED],
  // JSON Web Tokens (RFC 7519).
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, REDACTED],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // User and password of a URL.
  [/(:\/\/)[^\s/@"']+@/g, `$1${REDACTED}@`],
  [
    /((?:token|passw(?:or)?d|secret|credential|api[_-]?key|private[_-]?key|authorization)[\w-]*["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"',;}]+)/gi,
    `$1${REDACTED}`,
  ],
  [
    /(--[\w-]*(?:token|password|secret|key)[\w-]*\s+)[^\s-][^\s"']*/gi,
    `$1${REDACTED}`,
  ],
];

/** Replaces text that looks like a join token. */
export function redactTokens(text: string): string {
  return text.replace(TOKEN, REDACTED);
}

/** Replaces text that looks like a password, a token or a key. */
export function redact(text: string): string {
  return SECRETS.reduce(
    (left, [pattern, by]) => left.replace(pattern, by),
    text,
  );
}
