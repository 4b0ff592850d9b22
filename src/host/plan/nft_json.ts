import { isObject } from "../../base/json_reader.ts";
import type { FilterTool } from "./forward_plan.ts";
import { parsePrefix } from "../../net/prefix.ts";
import type {
  AddressCondition,
  BaseChain,
  ChainRule,
  PacketChain,
} from "./packet_chain.ts";
import {
  type Checked,
  isNumber,
  isText,
  listOf,
  objectOf,
  orNull,
  withFields,
} from "../../routes/plan/tool_json.ts";

/** A table of nftables, by family and name. */
export interface NftTable {
  /** `ip`, `ip6`, `inet` and others (nft(8), ADDRESS FAMILIES). */
  readonly family: string;
  readonly name: string;
  readonly chains: readonly PacketChain[];
  /** The program of a table that is not one of nftables. */
  readonly tool?: FilterTool;
}

/**
 * The tables in the output of `nft -j list ruleset`, `list table` or
 * `list chains` (libnftables-json(5)); sets and other objects are left out.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseNftTables(text: string): NftTable[] {
  const output: unknown = JSON.parse(text);
  if (!OUTPUT(output) || !output.nftables) {
    throw new SyntaxError("nft printed an unknown shape");
  }
  const objects = output.nftables;
  const tables = new Map<string, { family: string; name: string }>();
  for (const { table, chain } of objects) {
    const found = table ?? (chain && { ...chain, name: chain.table });
    if (!found) continue;
    const { family, name } = found;
    tables.set(`${family} ${name}`, { family, name });
  }
  return [...tables.values()].map(({ family, name }) => ({
    family,
    name,
    chains: objects.flatMap(({ chain }) =>
      chain?.family === family && chain.table === name
        ? toChain(chain, objects)
        : []
    ),
  }));
}

const LEFT = objectOf({
  payload: objectOf({ protocol: isText, field: isText }),
  meta: objectOf({ key: isText }),
  ct: objectOf({ key: isText }),
});
const MATCH = objectOf({
  op: isText,
  left: (value) => LEFT(value) || isText(value) || Array.isArray(value),
  right: (value) => value !== null,
});
const EXPRESSION = objectOf({
  match: withFields(["op", "left", "right"], MATCH),
  jump: objectOf({ target: isText }),
  goto: objectOf({ target: isText }),
  xt: orNull(objectOf({ type: isText, name: isText })),
  masquerade: orNull(isObject),
  reject: orNull(objectOf({ type: isText, expr: isText })),
});

const TABLE = objectOf({ family: isText, name: isText });
const CHAIN = objectOf({
  ...{ family: isText, table: isText, name: isText },
  ...{ type: isText, hook: isText, prio: isNumber, policy: isText },
});
const RULE = objectOf({
  ...{ family: isText, table: isText, chain: isText },
  ...{ handle: isNumber, comment: isText, expr: listOf(EXPRESSION) },
});
const OBJECTS = listOf(objectOf({
  table: withFields(["family", "name"], TABLE),
  chain: withFields(["family", "table", "name"], CHAIN),
  rule: withFields(["family", "table", "chain", "handle"], RULE),
}));

const OUTPUT = objectOf({ nftables: OBJECTS });

type JsonObject = Checked<typeof OBJECTS>[number];
type JsonChain = NonNullable<JsonObject["chain"]>;
type JsonRule = NonNullable<JsonObject["rule"]>;

/** An object with one key, which says what it is. */
type Expression = Readonly<Record<string, unknown>>;

function toChain(
  chain: JsonChain,
  objects: readonly JsonObject[],
): PacketChain {
  const base = toBase(chain);
  return {
    name: chain.name,
    ...(base && { base }),
    rules: objects.flatMap(({ rule }) =>
      rule?.family === chain.family && rule.table === chain.table &&
        rule.chain === chain.name
        ? toRule(rule)
        : []
    ),
  };
}

function toBase(
  { type, hook, prio, policy }: JsonChain,
): BaseChain | undefined {
  return hook === undefined ? undefined : {
    type: type ?? "",
    hook,
    priority: prio ?? 0,
    policy: policy === "drop" ? "drop" : "accept",
  };
}

function toRule({ handle, comment, expr = [] }: JsonRule): ChainRule {
  const shown = expr.filter((part) => !isCounterOrComment(part));
  const parts = shown.filter((part) => !("log" in part));
  const last = parts.at(-1);
  const action = last && actionOf(last);
  const before = action ? parts.slice(0, -1) : parts;
  const conditions = before.flatMap((part) => toCondition(part) ?? []);
  const isVerdict = action && action.kind !== "rewrite" && before.length === 0;
  return {
    id: String(handle),
    text: shown.map(formatExpression).join(" "),
    comment: comment ?? "",
    ...(isVerdict && { verdict: action }),
    ...(action && { action }),
    ...(conditions.length > 0 && { conditions }),
    ...(conditions.length < before.length && { hasOtherConditions: true }),
  };
}

/** Whether an expression has no effect. iptables keeps comments in a match of their own. */
function isCounterOrComment(part: Expression): boolean {
  if ("counter" in part) return true;
  const xt = part["xt"] as { type?: string; name?: string } | undefined;
  return xt?.type === "match" && xt.name === "comment";
}

/** What an expression does with a packet; undefined for a condition. */
function actionOf(part: Expression): ChainRule["action"] {
  if ("accept" in part) return { kind: "accept" };
  if ("return" in part) return { kind: "return" };
  if ("drop" in part || "reject" in part) return { kind: "drop" };
  if ("masquerade" in part || "snat" in part) return { kind: "rewrite" };
  const xt = part["xt"] as { name?: string } | undefined;
  if (xt?.name === "REJECT") return { kind: "drop" };
  if (xt?.name === "MASQUERADE" || xt?.name === "SNAT") {
    return { kind: "rewrite" };
  }
  for (const kind of ["jump", "goto"] as const) {
    const to = part[kind] as { target?: string } | undefined;
    if (to?.target !== undefined) return { kind, target: to.target };
  }
  return undefined;
}

/** A condition on an address or prefix; undefined for all others. */
function toCondition(part: Expression): AddressCondition | undefined {
  const { op, left, right } = (part["match"] ?? {}) as Partial<JsonMatch>;
  const { protocol = "", field } = left?.payload ?? {};
  if (field !== "saddr" && field !== "daddr") return undefined;
  if (!["ip", "ip6"].includes(protocol) || (op !== "==" && op !== "!=")) {
    return undefined;
  }
  const text = formatValue(right);
  const bits = protocol === "ip" ? 32 : 128;
  try {
    const prefix = parsePrefix(text.includes("/") ? text : `${text}/${bits}`);
    return { field, prefix, isNegated: op === "!=" };
  } catch {
    return undefined;
  }
}

/** Formats an expression as nft does; kinds that the agent never uses stay JSON. */
function formatExpression(part: Expression): string {
  const [kind, value] = Object.entries(part)[0] ?? ["", null];
  switch (kind) {
    case "match":
      return formatMatch(value as JsonMatch);
    case "jump":
    case "goto":
      return `${kind} ${(value as { target?: string }).target}`;
    case "masquerade": {
      const { flags } = (value ?? {}) as { flags?: string | string[] };
      return ["masquerade", ...[flags ?? []].flat()].join(" ");
    }
    case "reject": {
      const { type, expr } = (value ?? {}) as { type?: string; expr?: string };
      return type === undefined ? "reject" : `reject with ${type} ${expr}`;
    }
    case "xt": {
      // The details of a match or target of iptables are not in nft's JSON.
      const { name } = (value ?? {}) as { name?: string };
      return name ?? JSON.stringify(part);
    }
    default:
      return value === null ? kind : JSON.stringify(part);
  }
}

interface JsonMatch {
  readonly op: string;
  readonly left: {
    readonly payload?: { readonly protocol?: string; readonly field?: string };
    readonly meta?: { readonly key: string };
    readonly ct?: { readonly key: string };
  };
  readonly right: unknown;
}

function formatMatch({ op, left, right }: JsonMatch): string {
  const { payload, meta, ct } = left;
  const operator = op === "==" || op === "in" ? "" : `${op} `;
  const value = formatValue(right);
  if (payload?.field !== undefined) {
    return `${payload.protocol} ${payload.field} ${operator}${value}`;
  }
  if (ct) return `ct ${ct.key} ${operator}${value}`;
  if (meta) return `${meta.key} ${operator}"${value}"`;
  return JSON.stringify({ match: { op, left, right } });
}

function formatValue(value: unknown): string {
  // The order of flags in a list depends on nft's version.
  if (Array.isArray(value)) return value.map(formatValue).sort().join(",");
  if (isObject(value) && Array.isArray(value["set"])) {
    return `{ ${value["set"].map(formatValue).join(", ")} }`;
  }
  if (isObject(value) && Array.isArray(value["range"])) {
    return value["range"].map(formatValue).join("-");
  }
  if (isObject(value) && isObject(value.prefix)) {
    return `${value.prefix.addr}/${value.prefix.len}`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
