import type { IncomingHttpHeaders } from "node:http";
import { quote } from "../net/address.ts";

/** This host as a browser may name it, with any port: `ssh -L` has one of its own. */
const LOOPBACK = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i;

/** A request of a browser, as far as its origin goes. */
export interface BrowserRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Why a request may come from a page of another origin, or by a name of this
 * host that such a page controls (DNS rebinding); undefined if it may not.
 * Programs that are not browsers can send what they like: secrets keep them out.
 */
export function refuseOrigin(
  { method, headers }: BrowserRequest,
): string | undefined {
  const { host = "", origin } = headers;
  if (!LOOPBACK.test(host)) {
    return `the map is at 127.0.0.1 and localhost, and this request is to ${
      quote(host)
    }`;
  }
  if (origin === undefined && method === "POST") {
    return "a call comes from the map's own page, and this one names no origin";
  }
  if (origin !== undefined && origin !== `http://${host}`) {
    return `the request is from ${quote(origin)}`;
  }
  // A link in another page may lead here; such a page can neither read nor frame this one.
  const site = headers["sec-fetch-site"] ?? "none";
  const isLink = method === "GET" && headers["sec-fetch-mode"] === "navigate" &&
    headers["sec-fetch-dest"] === "document";
  return site === "none" || site === "same-origin" || isLink
    ? undefined
    : `the request is from a page of another origin (Sec-Fetch-Site: ${site})`;
}
