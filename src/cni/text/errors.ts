/**
 * The errors of the plugin and their codes (CNI specification 1.1.0, section 5,
 * "Error"; codes from 100 on are this plugin's own).
 */
export const CNI_ERRORS = {
  incompatible_version: {
    code: 1,
    meaning: "the configuration's cniVersion is not supported, or is older " +
      "than the command",
  },
  invalid_environment: {
    code: 4,
    meaning: "a CNI_ variable is missing or not valid",
  },
  io_failure: {
    code: 5,
    meaning: "the plugin cannot read the configuration, or an answer",
  },
  decoding_failure: {
    code: 6,
    meaning: "the configuration is not a JSON object",
  },
  invalid_config: {
    code: 7,
    meaning: "a key of the configuration is missing or not valid",
  },
  try_again: {
    code: 11,
    meaning: "the agent cannot be reached, is starting or did not answer in " +
      "time; nothing is held, try again later",
  },
  not_available: {
    code: 50,
    meaning: "no address is available: the subnet is full, the node is " +
      "fenced, or (STATUS) the agent cannot be reached",
  },
  internal: {
    code: 101,
    meaning: "a defect of the plugin or the agent; the agent's log says more",
  },
  address_refused: {
    code: 102,
    meaning: "another container has the requested address, it is outside the " +
      "node's subnet, or a container with this id is running",
  },
  check_failed: {
    code: 103,
    meaning: "CHECK: the container holds nothing, or not what prevResult names",
  },
  refused: {
    code: 104,
    meaning: "the agent refuses the plugin: no permission, or another version",
  },
} as const satisfies Record<
  string,
  { readonly code: number; readonly meaning: string }
>;

/** A kind of error. */
export type CniCondition = keyof typeof CNI_ERRORS;

/** Conditions by the agent's RPC code. Other codes are defects. */
const BY_RPC_CODE: Readonly<Record<string, CniCondition>> = {
  resource_exhausted: "not_available",
  failed_precondition: "not_available",
  unavailable: "try_again",
  deadline_exceeded: "try_again",
  aborted: "try_again",
  canceled: "try_again",
  already_exists: "address_refused",
  invalid_argument: "refused",
  not_found: "refused",
  out_of_range: "refused",
  permission_denied: "refused",
  unauthenticated: "refused",
  unimplemented: "refused",
};

/** An error of the plugin. */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly condition: CniCondition;

  constructor(
    condition: CniCondition,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.condition = condition;
  }
}

/** The condition for a code of the agent, in the Connect protocol's spelling. */
export function conditionOf(rpcCode: string): CniCondition {
  return BY_RPC_CODE[rpcCode] ?? "internal";
}

/** The error object that goes to stdout (CNI specification, "Error"). */
export function formatError(error: CniError, cniVersion: string): string {
  const { code, meaning } = CNI_ERRORS[error.condition];
  return JSON.stringify({
    cniVersion,
    code,
    msg: error.message,
    details: meaning,
  }) + "\n";
}
