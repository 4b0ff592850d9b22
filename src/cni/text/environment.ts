import { CniError } from "./errors.ts";
import { describe } from "./json.ts";
import {
  checkContainerId,
  checkInterfaceName,
  checkPath,
  checkSocketPath,
} from "./names.ts";
import type { CniVersion } from "./version.ts";

/** Reads a variable of the environment. */
export type ReadVariable = (name: string) => string | undefined;

/** The needs of a command. */
interface VerbNeeds {
  /** Required variables. Empty counts as missing. */
  readonly variables: readonly string[];
  /** The first version of the specification that has the command. */
  readonly since: CniVersion;
}

const CONTAINER = ["CNI_CONTAINERID", "CNI_IFNAME"];

/** The commands (CNI specification, section 2). CNI_PATH is for plugins that call others. */
export const VERBS = {
  ADD: { variables: [...CONTAINER, "CNI_NETNS"], since: "0.1.0" },
  DEL: { variables: CONTAINER, since: "0.1.0" },
  CHECK: { variables: [...CONTAINER, "CNI_NETNS"], since: "0.4.0" },
  GC: { variables: [], since: "1.1.0" },
  STATUS: { variables: [], since: "1.1.0" },
  VERSION: { variables: [], since: "0.1.0" },
} as const satisfies Record<string, VerbNeeds>;

/** A command of the CNI specification. */
export type Verb = keyof typeof VERBS;

/** The variables of a call. A variable that the command does not need may be empty. */
export interface Invocation {
  readonly verb: Verb;
  readonly containerId: string;
  readonly interfaceName: string;
  /** Path of the network namespace; empty when the caller named none. */
  readonly netns: string;
  /** `CNI_ARGS`, not parsed. */
  readonly args: string;
}

/**
 * Parses the environment of a call.
 *
 * @throws {CniError} `invalid_environment` naming every variable that is missing
 */
export function parseInvocation(variable: ReadVariable): Invocation {
  const read = (name: string) => readVariable(variable, name);
  const verb = parseVerb(read("CNI_COMMAND"));
  const { variables }: VerbNeeds = VERBS[verb];
  const missing = variables.filter((name) => read(name) === "");
  if (missing.length > 0) {
    throw new CniError(
      "invalid_environment",
      `Cannot ${verb}: ${missing.join(", ")} ${
        missing.length === 1 ? "is" : "are"
      } missing or empty`,
    );
  }
  const invocation = {
    verb,
    containerId: read("CNI_CONTAINERID"),
    interfaceName: read("CNI_IFNAME"),
    netns: read("CNI_NETNS"),
    args: read("CNI_ARGS"),
  };
  if (variables.includes("CNI_CONTAINERID")) {
    checkVariable("CNI_CONTAINERID", checkContainerId(invocation.containerId));
    checkVariable("CNI_IFNAME", checkInterfaceName(invocation.interfaceName));
  }
  if (variables.includes("CNI_NETNS")) {
    checkVariable("CNI_NETNS", checkPath(invocation.netns));
  } else if (checkPath(invocation.netns) !== undefined) {
    // A command that needs no namespace succeeds without.
    invocation.netns = "";
  }
  return invocation;
}

/** The path of a socket in a variable; undefined when it is missing or empty. @throws {CniError} */
export function parseSocketVariable(
  variable: ReadVariable,
  name: string,
): string | undefined {
  const text = readVariable(variable, name);
  if (text === "") return undefined;
  checkVariable(name, checkSocketPath(text));
  return text;
}

function readVariable(variable: ReadVariable, name: string): string {
  try {
    return variable(name) ?? "";
  } catch (cause) {
    throw new CniError(
      "invalid_environment",
      `Invalid variable ${name}: it is not UTF-8`,
      { cause },
    );
  }
}

function parseVerb(text: string): Verb {
  if (Object.hasOwn(VERBS, text)) return text as Verb;
  throw new CniError(
    "invalid_environment",
    `Invalid variable CNI_COMMAND: ${describe(text)} is none of ${
      Object.keys(VERBS).join(", ")
    }`,
  );
}

function checkVariable(name: string, problem: string | undefined): void {
  if (problem === undefined) return;
  throw new CniError(
    "invalid_environment",
    `Invalid variable ${name}: ${problem}`,
  );
}
