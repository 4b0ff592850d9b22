/**
 * What may have changed in the kernel. `interfaces`: links, addresses or their
 * settings, and with them routes.
 */
export type KernelEvent = "routes" | "interfaces";

/** The change that a line of `ip -o -N monitor label` announces. */
export type MonitorLine =
  | { readonly kind: "interfaces" }
  /** `key` is equal for the announcement and for the command that causes it. */
  | { readonly kind: "routes"; readonly key: string };

/** Number of the table with this host's own addresses, which have events of their own. */
const LOCAL_TABLE = / table 255\b/;
const ROUTE = /^\[ROUTE\](Deleted )?(?:\d+ )?(\S+) (?:.* )?proto (\d+)\b/;
const COMMAND = /^route (add|del) (?:[a-z]+ )?(\S+) (?:.* )?proto (\d+)\b/;

/** Reads a line (ip-monitor(8)); undefined for one that changes nothing of ours. */
export function parseMonitorLine(line: string): MonitorLine | undefined {
  if (line === "") return undefined;
  if (!line.startsWith("[ROUTE]")) return { kind: "interfaces" };
  if (LOCAL_TABLE.test(line)) return undefined;
  const [, deleted, destination = "", protocol = ""] = ROUTE.exec(line) ?? [];
  const verb = deleted === undefined ? "add" : "del";
  return { kind: "routes", key: keyOf(verb, destination, protocol) };
}

/** The key of the event that a line for `ip -batch` causes; undefined for none. */
export function eventKey(batchLine: string): string | undefined {
  const [, verb, destination = "", protocol = ""] = COMMAND.exec(batchLine) ??
    [];
  return verb === undefined ? undefined : keyOf(verb, destination, protocol);
}

/** `ip` prints neither the length of a host route nor that of a default route. */
function keyOf(verb: string, destination: string, protocol: string): string {
  const text = destination.replace(/^(?:0\.0\.0\.0|::)\/0$/, "default")
    .replace(/(?<=\..*)\/32$|\/128$/, "");
  return `${verb} ${text} ${protocol}`;
}
