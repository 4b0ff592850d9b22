import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { NetError } from "../../base/error.ts";
import type { Owner as OwnerMessage } from "../../gen/stellar/net/v1/ipam_pb.ts";
import {
  type Labels,
  type Owner,
  parseContainerId,
  parseInterfaceName,
  parseLabels,
  parseNetworkName,
} from "../../base/names.ts";

/** The network of an owner without one. */
export const DEFAULT_OWNER_NETWORK = "default";
/** The interface of an owner without one. */
export const DEFAULT_OWNER_INTERFACE = "eth0";

/**
 * Parses a field of a request.
 *
 * @throws {NetError} `invalid_argument` naming the field and the fault
 */
export function parseField<T>(
  field: string,
  value: string,
  parse: (value: string) => T,
): T {
  if (value === "") throw invalidField(field, "it is empty");
  try {
    return parse(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField(field, error.message, error);
  }
}

/** Parses a field that may be empty: undefined then. */
export function parseOptional<T>(
  field: string,
  value: string,
  parse: (value: string) => T,
): T | undefined {
  return value === "" ? undefined : parseField(field, value, parse);
}

/** Parses labels; undefined where there are none. */
export function parseLabelsField(
  field: string,
  labels: Labels,
): Labels | undefined {
  if (Object.keys(labels).length === 0) return undefined;
  try {
    return parseLabels(labels);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField(field, error.message, error);
  }
}

/** Parses a duration in whole ms, undefined where there is none. */
export function parseDuration(
  field: string,
  duration: Duration | undefined,
  { leastMs = 0, mostMs = Infinity }: {
    readonly leastMs?: number;
    readonly mostMs?: number;
  } = {},
): number | undefined {
  if (!duration) return undefined;
  const ms = Math.round(durationMs(duration));
  if (!Number.isSafeInteger(ms) || ms < 0) {
    throw invalidField(field, "it is negative or too long");
  }
  if (ms >= leastMs && ms <= mostMs) return ms;
  throw invalidField(
    field,
    `${ms / 1000} s is not ${leastMs / 1000} s to ${mostMs / 1000} s`,
  );
}

/** The error for an invalid field. */
export function invalidField(
  field: string,
  what: string,
  cause?: unknown,
): NetError {
  return new NetError("invalid_argument", `Invalid field "${field}": ${what}`, {
    cause,
    metadata: { field },
  });
}

/** Blames a field for an invalid argument that the work does not blame on another. */
export async function blaming<T>(field: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const isUnnamed = error instanceof NetError &&
      error.code === "invalid_argument" &&
      error.details.metadata?.field === undefined;
    if (!isUnnamed) throw error;
    const { code, message, details } = error;
    const metadata = { ...details.metadata, field };
    throw new NetError(code, message, { cause: error, ...details, metadata });
  }
}

/** Parses an owner, with defaults for the parts that it leaves out. @param field the name of the field that holds it */
export function parseOwner(
  owner: OwnerMessage | undefined,
  field = "owner",
): Owner {
  return {
    network: parseOptional(
      `${field}.network`,
      owner?.network ?? "",
      parseNetworkName,
    ) ?? DEFAULT_OWNER_NETWORK,
    containerId: parseField(
      `${field}.container_id`,
      owner?.containerId ?? "",
      parseContainerId,
    ),
    interfaceName: parseOptional(
      `${field}.interface_name`,
      owner?.interfaceName ?? "",
      parseInterfaceName,
    ) ?? DEFAULT_OWNER_INTERFACE,
  };
}
