import {
  createRegistry,
  type DescField,
  type Message,
} from "@bufbuild/protobuf";
import {
  type Duration,
  durationMs,
  type Timestamp,
  timestampDate,
} from "@bufbuild/protobuf/wkt";
import { file_stellar_net_v1_agent } from "../../gen/stellar/net/v1/agent_pb.ts";
import { file_stellar_net_v1_cluster } from "../../gen/stellar/net/v1/cluster_pb.ts";
import { file_stellar_net_v1_identity } from "../../gen/stellar/net/v1/identity_pb.ts";
import { file_stellar_net_v1_ipam } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { file_stellar_net_v1_registry } from "../../gen/stellar/net/v1/registry_pb.ts";

const REGISTRY = createRegistry(
  file_stellar_net_v1_agent,
  file_stellar_net_v1_cluster,
  file_stellar_net_v1_identity,
  file_stellar_net_v1_ipam,
  file_stellar_net_v1_registry,
);

/** The text fields that are null in a view when they are empty, by message. */
const NULLABLE = {
  "stellar.net.v1.Allocation": ["leak"],
  "stellar.net.v1.Attachment": ["netns", "bootId"],
  "stellar.net.v1.AuditRecord": ["from", "subject", "message"],
  "stellar.net.v1.Check": ["command", "harm", "means", "mend"],
  "stellar.net.v1.Event": ["node", "by"],
  "stellar.net.v1.ExamineAllResponse": ["problem"],
  "stellar.net.v1.Found": ["node"],
  "stellar.net.v1.HistoryRecord": ["reason", "allocationId"],
  "stellar.net.v1.HostRoute": ["node", "why"],
  "stellar.net.v1.HostRouteCounts": ["error"],
  "stellar.net.v1.ListHostRoutesResponse": ["error"],
  "stellar.net.v1.NetworkUse": ["fastestNode"],
  "stellar.net.v1.Node": ["apiUrl", "problem"],
  "stellar.net.v1.Problem": ["fix"],
  "stellar.net.v1.RegistryLink": ["problem", "url"],
  "stellar.net.v1.Subnet": ["node", "reason"],
  "stellar.net.v1.TestPathsResponse": ["problem"],
  "stellar.net.v1.Token": ["name"],
} as const;

type NullableOf<M extends Message> = M["$typeName"] extends
  keyof typeof NULLABLE ? typeof NULLABLE[M["$typeName"]][number] : never;

type ViewValue<T> = T extends Timestamp | Duration ? string
  : T extends Message ? View<T>
  : T extends readonly (infer Item)[] ? readonly ViewValue<Item>[]
  : T extends bigint ? number
  // The values of an enumeration are fewer than all numbers.
  : T extends number ? (`${number}` extends `${T}` ? number : string)
  : T;

/**
 * A message as `--json` prints it. A time is RFC 3339, a duration seconds with
 * an s, the value of an
 * enumeration its name in lower case, such as `no agent`. Null stands for an
 * unset message or time, and for an empty text that has no value. Fields are
 * only ever added.
 */
export type View<M extends Message> = {
  readonly [K in Exclude<keyof M, "$typeName" | "$unknown">]-?:
    | ViewValue<NonNullable<M[K]>>
    | (Record<never, never> extends Pick<M, K> ? null : never)
    | (K extends NullableOf<M> ? null : never);
};

/** Makes the view of a message. */
export function viewOf<M extends Message>(message: M): View<M> {
  const { $typeName } = message as Message;
  const nullable = new Map<string, readonly string[]>(Object.entries(NULLABLE))
    .get($typeName);
  const values = message as unknown as Readonly<Record<string, unknown>>;
  const fields = REGISTRY.getMessage($typeName)!.fields.map((field) => {
    const value = viewValue(field, values[field.localName]);
    const isNull = value === "" && nullable?.includes(field.localName);
    return [field.localName, isNull ? null : value];
  });
  return Object.fromEntries(fields);
}

/** The view of a message that may be unset. */
export function viewOrNull<M extends Message>(
  message: M | undefined,
): View<M> | null {
  return message ? viewOf(message) : null;
}

/** A time as RFC 3339; null for none. */
export function viewTime(time: Timestamp | undefined): string | null {
  return time ? timestampDate(time).toISOString() : null;
}

function viewValue(field: DescField, value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map((item) => viewItem(field, item));
  return viewItem(field, value);
}

function viewItem(field: DescField, value: unknown): unknown {
  switch (field.message?.typeName) {
    case undefined:
      break;
    case "google.protobuf.Timestamp":
      return viewTime(value as Timestamp);
    case "google.protobuf.Duration":
      return `${durationMs(value as Duration) / 1000}s`;
    default:
      return viewOf(value as Message);
  }
  if (field.enum) {
    // A newer agent may know values that this program does not.
    const name = field.enum.value[value as number]?.localName ?? "unknown";
    return name.toLowerCase().replaceAll("_", " ");
  }
  return typeof value === "bigint" ? Number(value) : value;
}
