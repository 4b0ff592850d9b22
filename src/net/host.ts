const MAPPED = "::ffff:";

/** The host of a URL: a name, or an address without the brackets of IPv6. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Whether only this host can reach a canonical address: `127.0.0.0/8` or `::1` (RFC 6890). */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^127(?:\.\d{1,3}){3}$/.test(address);
}

/** Whether a URL leads to this host: `localhost` or a loopback address. Other names are not looked up. */
export function isThisHost(url: string): boolean {
  const host = hostOf(url);
  return host === "localhost" || isLoopback(host);
}

/** A host as a URL has it: an IPv6 address in brackets. */
export function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** A peer's address without the prefix that a socket of both families puts before IPv4 (RFC 4291 section 2.5.5.2). */
export function unmapAddress(text: string): string {
  return text.startsWith(MAPPED) ? text.slice(MAPPED.length) : text;
}
