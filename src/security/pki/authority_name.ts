/** The organisation in the subject of every certificate of ours. */
export const ORGANIZATION = "stellar-net";
/** The common name of an authority, with its generation. */
export const AUTHORITY_NAME = /^authority ([1-9]\d{0,8})$/;

/**
 * So much earlier than it was signed a certificate says that it is valid:
 * the clocks of hosts differ.
 */
export const BACKDATE_MS = 5 * 60_000;

/** Formats what {@linkcode AUTHORITY_NAME} reads. */
export function authorityName(generation: number): string {
  return `authority ${generation}`;
}
