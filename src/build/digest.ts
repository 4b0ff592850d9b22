/** SHA-256 of some bytes, in hex. */
export async function sha256(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** A line as sha256sum(1) writes and reads it. */
export function formatChecksum(digest: string, file: string): string {
  return `${digest}  ${file}\n`;
}
