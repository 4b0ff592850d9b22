import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { quote } from "../../net/address.ts";
import type { Caller } from "../access/call_context.ts";

/** A host with an optional port (RFC 9110 section 7.2): a name, IPv4, or IPv6 in brackets. */
const HOST = /^(?:\[([^\]]+)\]|([^:[\]@]+))(?::\d*)?$/;

/** An answer that is not the called service's. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/**
 * Why a request in plain text may come from a web page, and is refused;
 * undefined when it does not.
 *
 * A page in a browser reaches an agent on loopback by a name of its own that
 * resolves to 127.0.0.1 (DNS rebinding), and a page cannot avoid that the
 * browser sends that name, or an Origin. Over TLS a page has no certificate, and
 * it cannot connect to a unix socket.
 */
export function refusePage(
  headers: IncomingHttpHeaders,
  { kind }: Caller,
): Refusal | undefined {
  if (kind !== "loopback" && kind !== "plain") return undefined;
  if (headers.origin !== undefined) {
    return {
      status: 403,
      message: `Cannot answer a web page: the request is from ${
        quote(headers.origin)
      }, and plain text is for programs`,
    };
  }
  const host = headers[":authority"] ?? headers.host ?? "";
  const match = HOST.exec(String(host));
  if (!match) return { status: 400, message: "Cannot read the host" };
  const [, six, other = ""] = match;
  const isAllowed = six === undefined
    ? other.toLowerCase() === "localhost" || isIP(other) === 4
    : isIP(six) === 6;
  if (isAllowed) return undefined;
  return {
    status: 403,
    message: `Cannot answer a request to host ${
      quote(String(host))
    }: in plain text it has to be an IP address or localhost`,
  };
}
