/** What stands for a secret that was taken out. */
export const REDACTED = "[redacted]";

/** Join tokens, whole or cut off. */
const TOKEN = /\bstn\d+\.[\w.-]{8,}/g;

/** What secrets look like, and what is left of them. */
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

/** Takes out of a text what looks like a join token. */
export function redactTokens(text: string): string {
  return text.replace(TOKEN, REDACTED);
}

/** Takes out of a text what looks like a secret: passwords, tokens, keys. */
export function redact(text: string): string {
  return SECRETS.reduce(
    (left, [pattern, by]) => left.replace(pattern, by),
    text,
  );
}
