import { type Address, parseAddress } from "../../net/address.ts";
import { parseKernelRoutes } from "../../routes/plan/ip_json.ts";
import type { KernelRoute } from "../../routes/plan/kernel_route.ts";
import {
  isText,
  isTextOrNumber,
  objectOf,
  readRows,
  readStrictly,
} from "../../routes/plan/tool_json.ts";

/** Where the kernel sends packets to one address. */
export type RouteLookup =
  | {
    readonly kind: "way";
    /** Whether it is an address of this host. */
    readonly isLocal: boolean;
    readonly device: string;
    /** Undefined for what is directly connected. */
    readonly gateway: Address | undefined;
    /** The route that decides; undefined where that cannot be told. */
    readonly match: RouteMatch | undefined;
  }
  | {
    readonly kind: "none";
    /** Such as "no route leads there". */
    readonly why: string;
  };

/** A route that decides, and its table. */
export interface RouteMatch {
  readonly route: KernelRoute;
  /** Number of the table, which a policy rule names; undefined for the main one (ip-rule(8)). */
  readonly table: string | undefined;
}

/** What the kernel means by the errors of a lookup (ip-route(8), "unreachable" and others). */
const REASONS: ReadonlyMap<string, string> = new Map([
  ["Network is unreachable", "no route leads there"],
  [
    "No route to host",
    "a route or a rule makes it unreachable, or this host does not forward",
  ],
  ["Permission denied", "a route or a rule prohibits it"],
  ["Invalid argument", "a route or a rule throws it away"],
  [
    "Invalid cross-device link",
    "rp_filter drops what comes from there",
  ],
]);

/**
 * The way in the output of `ip -N -json route get ADDRESS`, with the route in
 * that of `ip -N -json route get fibmatch ADDRESS` (ip-route(8)).
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseRouteLookup(
  way: string,
  fibmatch: string,
): RouteLookup {
  const [found] = readLookups(way);
  if (found === undefined) throw new SyntaxError("ip printed no route");
  const { type, dev, gateway, via } = found;
  const next = gateway ?? via?.host;
  const [match] = readLookups(fibmatch);
  const [route] = match
    ? parseKernelRoutes(JSON.stringify([{ ...match, table: undefined }]))
    : [];
  return {
    kind: "way",
    // -N prints the number of the type (rtnetlink(7)).
    isLocal: type === "local" || type === "2",
    device: dev ?? "",
    gateway: next === undefined
      ? undefined
      : readStrictly("ip", () => parseAddress(next)),
    match: route && { route, table: tableOf(match?.table) },
  };
}

/** What `ip route get` means when it fails; undefined when it is not about the way. */
export function parseLookupFailure(
  stderr: string,
): RouteLookup | undefined {
  const error = /^RTNETLINK answers: (.+)$/m.exec(stderr)?.[1];
  return error === undefined
    ? undefined
    : { kind: "none", why: REASONS.get(error) ?? error };
}

const LOOKUP = objectOf({
  ...{ type: isText, dev: isText, gateway: isText, table: isTextOrNumber },
  via: objectOf({ host: isText }),
});

interface JsonLookup {
  readonly type?: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly via?: { readonly host?: string };
  readonly table?: string | number;
}

/** 254 is the main table. */
function tableOf(table: string | number | undefined): string | undefined {
  const text = table === undefined ? "254" : String(table);
  return text === "254" || text === "main" ? undefined : text;
}

function readLookups(text: string): readonly JsonLookup[] {
  return readRows(text, { program: "ip", check: LOOKUP });
}
