import { CniError } from "./errors.ts";
import { describe } from "./json.ts";

const TRUE = /^(?:1|true)$/i;
const FALSE = /^(?:0|false)$/i;

/**
 * Parses `CNI_ARGS` (`KEY=VALUE;KEY=VALUE`) for the addresses that are asked
 * for: those of `IP`, separated by commas, not parsed.
 *
 * Keys other than `IP` and `IgnoreUnknown` are refused unless `IgnoreUnknown`
 * is true.
 *
 * @throws {CniError} `invalid_environment`
 */
export function parseCniArgs(text: string): readonly string[] {
  if (text === "") return [];
  const args = new Map<string, string>();
  for (const pair of text.split(";")) {
    const parts = pair.split("=");
    if (parts.length !== 2 || parts[0] === "") {
      throw invalidArgs(`${describe(pair)} is not KEY=VALUE`);
    }
    const [key, value] = parts as [string, string];
    if (args.has(key)) throw invalidArgs(`${describe(key)} is there twice`);
    args.set(key, value);
  }
  const ignore = parseSwitch(args.get("IgnoreUnknown"));
  const unknown = [...args.keys()]
    .filter((key) => key !== "IP" && key !== "IgnoreUnknown");
  if (unknown.length > 0 && !ignore) {
    throw invalidArgs(
      `${unknown.map(describe).join(", ")} ${
        unknown.length === 1 ? "is" : "are"
      } not known: leave it out, or add IgnoreUnknown=1`,
    );
  }
  const ips = args.get("IP") ?? "";
  return ips === "" ? [] : ips.split(",");
}

function parseSwitch(text: string | undefined): boolean {
  if (text === undefined || FALSE.test(text)) return false;
  if (TRUE.test(text)) return true;
  throw invalidArgs(
    `${describe(text)} for IgnoreUnknown is none of 1, true, 0, false`,
  );
}

function invalidArgs(what: string): CniError {
  return new CniError(
    "invalid_environment",
    `Invalid variable CNI_ARGS: ${what}`,
  );
}
