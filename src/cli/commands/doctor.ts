import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import type { Check } from "../framework/client.ts";
import { EXIT } from "../framework/exit.ts";
import { type OptionalOperand, switchFlag } from "../framework/flag.ts";
import {
  formatTarget,
  JSON_OUTPUT,
  TARGET_FLAGS,
  TIMEOUT,
} from "../framework/target.ts";
import { UNIT_NAME, UNIT_PATH } from "../../install/plan/layout.ts";
import { formatColumns } from "../framework/text.ts";
import { type View, viewOf } from "../framework/view.ts";

/** A check as `--json` prints it: its status is `ok`, `warning` or `failed`. */
type CheckView = View<Check>;

const PEER: OptionalOperand<string> = {
  name: "PEER",
  description: "name of a node: check the path to it too",
  completion: "node",
  optional: true,
  parse: parseNodeName,
};

const ALL = switchFlag(
  "all",
  "let every host check itself and some of its peers",
);

/** Probes of a silent peer take several seconds in turn. */
const PATIENT: typeof TIMEOUT = { ...TIMEOUT, default: "30s" };

/** The client's message: the observation, then the last part that begins with an instruction. */
const STEP = /^(.*)[:;] ((?:start|name|run) .*)$/s;

export const DOCTOR: CommandSpec = {
  name: "doctor",
  summary: "Check this host, and the path to another node",
  action: "check this host",
  operands: [PEER],
  flags: [ALL, ...TARGET_FLAGS, JSON_OUTPUT, PATIENT],
  examples: [
    "stellar-net doctor",
    "stellar-net doctor node3",
    "stellar-net doctor node3 --json",
    "stellar-net doctor --all",
  ],
  run: async (call) => {
    const peer = call.operand(PEER) ?? null;
    if (call.value(ALL)) {
      if (peer !== null) throw call.usage("PEER and --all exclude each other");
      return await examineAll(call);
    }
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

/** The findings of one host, as `--json` prints them. */
interface Examined {
  readonly node: string;
  readonly problem: string | null;
  readonly checks: readonly CheckView[];
}

/** Lets every host examine itself: one line for each host that is well, all findings of the others. */
async function examineAll(call: Call): Promise<number> {
  const hosts: Examined[] = [];
  const messages = call.clients(PATIENT).agent.examineAll({}, { timeoutMs: 0 });
  for await (const message of messages) {
    const { node, problem, checks, hosts: all } = viewOf(message);
    hosts.push({ node, problem, checks });
    if (call.io.isTerminal) call.io.stderr(`\r${hosts.length} of ${all} hosts`);
  }
  if (call.io.isTerminal) call.io.stderr("\r\x1b[K");
  hosts.sort((a, b) => a.node < b.node ? -1 : 1);
  const all = hosts.flatMap(({ checks }) => checks);
  const count = (status: string) =>
    all.filter((check) => check.status === status).length;
  const silent = hosts.filter(({ problem }) => problem !== null).length;
  call.answer(
    { hosts },
    formatColumns(hosts.flatMap(formatHost)),
  );
  call.note(
    `Hosts: ${hosts.length}, not examined: ${silent}, checks: ${all.length}, ` +
      `failed: ${count("failed")}, warnings: ${count("warning")}`,
  );
  return silent + count("failed") === 0 ? EXIT.done : EXIT.failed;
}

function formatHost({ node, problem, checks }: Examined): string[][] {
  if (problem !== null) return [["FAILED", node, `not examined: ${problem}`]];
  const findings = checks.filter(({ status }) => status !== "ok");
  if (findings.length === 0) {
    return [["ok", node, `${checks.length} checks passed`]];
  }
  return findings.map((check) => {
    const [status = "", text = ""] = formatCheck(check);
    return [status, node, text];
  });
}

async function examine(call: Call, peer: string): Promise<CheckView[]> {
  try {
    const { checks } = await call.clients(PATIENT).agent.examine({ peer });
    return checks.map(viewOf);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    if (error.code === "deadline_exceeded") {
      return [
        silent({
          found: `the agent at "${
            formatTarget(call.target)
          }" did not answer in time`,
          mend: "read its log, or wait longer with --timeout",
        }),
      ];
    }
    if (error.code !== "unavailable") throw error;
    const [, found, mend] = STEP.exec(error.message) ?? [];
    const isUnreached = error.message.startsWith("Cannot reach the agent at ");
    const unit = isUnreached ? await findUnit(call) : undefined;
    return [
      silent({
        found: found ?? error.message,
        mend: mend ?? "read the log of the agent",
        means: isUnreached ? AGENT_GONE : CHECKS_CUT,
        ...unit !== undefined && { command: `systemctl restart ${unit}` },
      }),
    ];
  }
}

/** The unit of systemd that runs the agent, where one is installed. */
async function findUnit(call: Call): Promise<string | undefined> {
  if (!("socketPath" in call.target)) return undefined;
  const { filesAt, services } = await call.io.installer();
  const isInstalled = await services.isThere() &&
    await filesAt("/").read(UNIT_PATH) !== undefined;
  return isInstalled ? UNIT_NAME : undefined;
}

const AGENT_GONE = "containers get no addresses on this host, and nothing " +
  "repairs its routes; existing routes stay";
/** The agent answered: whether containers get addresses is not known. */
const CHECKS_CUT = "the agent could not finish its checks";

function silent(
  { found, mend, means = AGENT_GONE, command = null }: {
    readonly found: string;
    readonly mend: string;
    readonly means?: string;
    readonly command?: string | null;
  },
): CheckView {
  return {
    ...{ name: "agent", status: "failed", found, means },
    ...{ mend: command ?? mend, command, harm: null },
  };
}

function formatCheck({ name, status, found, means, mend, harm }: CheckView) {
  const rest = [
    ...means === null ? [] : [means],
    ...mend === null ? [] : [`to fix it: ${mend}`],
    ...harm === null ? [] : [`beware: ${harm}`],
  ];
  return [
    status === "failed" ? "FAILED" : status,
    [`${name}: ${found}`, ...rest].join("; "),
  ];
}
