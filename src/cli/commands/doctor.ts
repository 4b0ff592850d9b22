import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import {
  type Check,
  CheckStatus,
  JSON_OUTPUT,
  TARGET_FLAGS,
  TIMEOUT,
} from "../framework/client.ts";
import { EXIT } from "../framework/exit.ts";
import type { Operand } from "../framework/flag.ts";
import { formatColumns } from "../framework/table.ts";
import { formatTarget } from "../framework/target.ts";
import { orNull, viewName } from "../framework/views.ts";

/** What was looked at. Null means: all is well. */
interface CheckView {
  readonly name: string;
  /** `ok`, `warning` or `failed`. */
  readonly status: string;
  readonly found: string;
  readonly means: string | null;
  readonly mend: string | null;
}

const PEER: Operand<string> & { readonly optional: true } = {
  name: "PEER",
  description: "name of a node: check the path to it as well",
  optional: true,
  parse: parseNodeName,
};

/** Probes of a silent peer take seconds, one after another. */
const PATIENT: typeof TIMEOUT = { ...TIMEOUT, default: "30s" };

/**
 * What the client's message says is to be done, behind what it found: the last
 * part of it that begins with such a word.
 */
const STEP = /^(.*)[:;] ((?:start|name|run) .*)$/s;

export const DOCTOR: CommandSpec = {
  name: "doctor",
  summary: "Check this host, and the path to another node",
  action: "check this host",
  operands: [PEER],
  flags: [...TARGET_FLAGS, JSON_OUTPUT, PATIENT],
  examples: [
    "stellar-net doctor",
    "stellar-net doctor node3",
    "stellar-net doctor node3 --json",
  ],
  run: async (call) => {
    const peer = call.operand(PEER) ?? null;
    const checks = await examine(call, peer ?? "");
    const count = (status: string) =>
      checks.filter((check) => check.status === status).length;
    const failed = count("failed");
    const warnings = count("warning");
    call.answer({ peer, checks }, formatColumns(checks.map(formatCheck)));
    call.note(
      `Checks: ${checks.length}, failed: ${failed}, warnings: ${warnings}`,
    );
    return failed === 0 ? EXIT.done : EXIT.failed;
  },
};

async function examine(call: Call, peer: string): Promise<CheckView[]> {
  try {
    const { checks } = await call.clients(PATIENT).agent.examine({ peer });
    return checks.map(viewCheck);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    if (error.code === "deadline_exceeded") {
      return [
        silent(
          `the agent at "${formatTarget(call.target)}" did not answer in time`,
          "look at its log, or wait longer with --timeout",
        ),
      ];
    }
    if (error.code !== "unavailable") throw error;
    const [, found, mend] = STEP.exec(error.message) ?? [];
    return [
      silent(found ?? error.message, mend ?? "look at the log of the agent"),
    ];
  }
}

function silent(found: string, mend: string): CheckView {
  return {
    name: "agent",
    status: "failed",
    found,
    means: "containers get no addresses on this host, and nobody " +
      "repairs its routes; those that are there stay",
    mend,
  };
}

function viewCheck(message: Check): CheckView {
  return {
    name: message.name,
    status: viewName(CheckStatus, message.status),
    found: message.found,
    means: orNull(message.means),
    mend: orNull(message.mend),
  };
}

function formatCheck({ name, status, found, means, mend }: CheckView) {
  const rest = [
    ...means === null ? [] : [means],
    ...mend === null ? [] : [`to mend it: ${mend}`],
  ];
  return [
    status === "failed" ? "FAILED" : status,
    [`${name}: ${found}`, ...rest].join("; "),
  ];
}
