import { type Address, addressBits, parseAddress } from "../../net/address.ts";
import { containsAddress, type Prefix, prefixOf } from "../../net/prefix.ts";
import {
  isNumber,
  isText,
  isTextOrNumber,
  objectOf,
  readRows,
  readStrictly,
} from "../../routes/plan/tool_json.ts";

/** A policy rule of the kernel (ip-rule(8)). */
export interface PolicyRule {
  readonly preference: number;
  /** Number of the table that it leads to; undefined for another action, such as `prohibit`. */
  readonly table: string | undefined;
  /** The sources of its packets; undefined for all. */
  readonly from: Prefix | undefined;
  /** The destinations of its packets; undefined for all. */
  readonly to: Prefix | undefined;
}

/** The numbers of the tables `local`, `main` and `default`, which every host has rules for. */
const STANDARD = new Set(["255", "254", "253"]);

const RULE = objectOf({
  priority: isNumber,
  ...{ src: isText, dst: isText, srclen: isNumber, dstlen: isNumber },
  table: isTextOrNumber,
});

/**
 * Reads the output of `ip -json -N rule show`.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parsePolicyRules(text: string): PolicyRule[] {
  const rows = readRows(text, { program: "ip", check: RULE });
  const prefix = (address: string | undefined, length: number | undefined) => {
    if (address === undefined || address === "all") return undefined;
    const parsed = parseAddress(address);
    return prefixOf(parsed, length ?? addressBits(parsed.family));
  };
  return readStrictly(
    "ip",
    () =>
      rows.map(({ priority = 0, src, dst, srclen, dstlen, table }) => ({
        preference: priority,
        table: table === undefined ? undefined : String(table),
        from: prefix(src, srclen),
        to: prefix(dst, dstlen),
      })),
  );
}

/** The packets that a rule leads astray. */
export interface AstrayPackets {
  readonly target: Address;
  /** Undefined for packets of this host. */
  readonly source: Address | undefined;
  /** The table that they are led to; undefined where it is not known. */
  readonly table: string | undefined;
}

/**
 * The rule that leads packets astray; undefined when several may, or none.
 * Its preference is no other rule's, so that it names the rule.
 */
export function findAstrayRule(
  rules: readonly PolicyRule[],
  { target, source, table }: AstrayPackets,
): PolicyRule | undefined {
  const suspects = rules.filter((rule) =>
    (rule.table === undefined || !STANDARD.has(rule.table)) &&
    (table === undefined || rule.table === table) &&
    (!rule.to || containsAddress(rule.to, target)) &&
    (!rule.from || !source || containsAddress(rule.from, source))
  );
  const [suspect] = suspects;
  const isAlone = suspects.length === 1 &&
    rules.filter(({ preference }) => preference === suspect!.preference)
        .length === 1;
  return isAlone ? suspect : undefined;
}
