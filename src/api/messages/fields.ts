import { NetError } from "../../base/error.ts";
import type { Owner as OwnerMessage } from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { Owner } from "../../addresses/plan/allocation.ts";
import {
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
} from "../../base/names.ts";

/** Network name of an owner that names none. */
export const DEFAULT_OWNER_NETWORK = "default";
/** Interface name of an owner that names none. */
export const DEFAULT_OWNER_INTERFACE = "eth0";
/** The most that one answer holds of a list. */
const MAX_PAGE = 1_000;

/**
 * Parses a field of a request.
 *
 * @throws {NetError} `invalid_argument` naming the field and what is wrong
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

/** Parses a field that may be empty; then the default is the answer. */
export function parseOptional<T, D>(
  field: string,
  value: string,
  options: { readonly parse: (value: string) => T; readonly empty: D },
): T | D {
  return value === "" ? options.empty : parseField(field, value, options.parse);
}

/** Parses how many of something are asked for: 0 asks for as many as there may be, 1,000. */
export function parseLimit(field: string, value: number): number {
  if (value === 0) return MAX_PAGE;
  if (value < 0 || value > MAX_PAGE) {
    throw invalidField(field, `${value} is not 0 to ${MAX_PAGE}`);
  }
  return value;
}

/** The error of a field. */
export function invalidField(
  field: string,
  what: string,
  cause?: unknown,
): NetError {
  return new NetError("invalid_argument", `Invalid field "${field}": ${what}`, {
    cause,
  });
}

/** Parses an owner and fills in what it leaves out. `field` is the one that it is in. */
export function parseOwner(
  owner: OwnerMessage | undefined,
  field = "owner",
): Owner {
  return {
    network: parseOptional(`${field}.network`, owner?.network ?? "", {
      parse: parseNetworkName,
      empty: DEFAULT_OWNER_NETWORK,
    }),
    containerId: parseField(
      `${field}.container_id`,
      owner?.containerId ?? "",
      parseContainerId,
    ),
    interfaceName: parseOptional(
      `${field}.interface_name`,
      owner?.interfaceName ?? "",
      { parse: parseInterfaceName, empty: DEFAULT_OWNER_INTERFACE },
    ),
  };
}
