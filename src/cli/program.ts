import { CommanderError } from "commander";
import { redactTokens } from "../bundle/redact.ts";
import { AGENT } from "./agent.ts";
import { AUDIT } from "./audit.ts";
import { BACKUP } from "./backup.ts";
import { Call } from "./call.ts";
import { CNI } from "./cni.ts";
import { SOCKET, TARGET_FLAGS } from "./client.ts";
import {
  createCommands,
  type Dispatch,
  readGiven,
  type StellarCommand,
} from "./command.ts";
import { createCompletion } from "./completion.ts";
import { DOCTOR } from "./doctor.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import { describeFailure } from "./failure.ts";
import { createHelp } from "./help.ts";
import { IDENTITY_GROUP } from "./identity.ts";
import { INSTALL } from "./install.ts";
import type { CliIo } from "./io.ts";
import { IP } from "./ip.ts";
import { NODE } from "./node.ts";
import { RESTORE } from "./restore.ts";
import { ROUTE } from "./route.ts";
import type { CommandSpec, GroupSpec } from "./spec.ts";
import { STATUS } from "./status.ts";
import { STORE } from "./store.ts";
import { SUBNET } from "./subnet.ts";
import { createSupportBundle } from "./support_bundle.ts";
import { formatTarget } from "./target.ts";
import { escapeText } from "./text.ts";
import { TOKEN } from "./token.ts";
import { UNINSTALL } from "./uninstall.ts";
import { VERSION } from "./version.ts";

/**
 * Runs the command line. Without a command it shows its help.
 *
 * @param args without the program's name
 * @returns the exit code; errors are written, not thrown
 */
export async function runCli(
  args: readonly string[],
  io: CliIo,
): Promise<number> {
  let context = { action: "run stellar-net", agent: SOCKET.default };
  let code: number = EXIT.done;
  const root = createProgram(io, async (dispatch) => {
    const { spec, command, operands } = dispatch;
    context = { ...context, action: spec.action };
    const given = readGiven(dispatch);
    const call = new Call({ spec, path: command.path(), operands, given }, io);
    if (TARGET_FLAGS.every((flag) => spec.flags?.includes(flag))) {
      context = { ...context, agent: formatTarget(call.target) };
    }
    code = await spec.run(call) ?? EXIT.done;
  });
  try {
    await root.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    // Thrown once help or the version were printed; errors are not commander's.
    if (error instanceof CommanderError) return EXIT.done;
    // A token in the wrong place stays a secret.
    const failure = redactTokens(describeFailure(error, context));
    io.stderr(`stellar-net: ${escapeText(failure)}\n`);
    return exitCodeOf(error);
  }
}

/** Makes the whole tree of commands. */
export function createProgram(
  io: CliIo,
  run: (dispatch: Dispatch) => Promise<void>,
): StellarCommand {
  const specs: readonly (CommandSpec | GroupSpec)[] = [
    AGENT,
    STATUS,
    DOCTOR,
    IP,
    SUBNET,
    NODE,
    ROUTE,
    TOKEN,
    IDENTITY_GROUP,
    AUDIT,
    CNI,
    INSTALL,
    UNINSTALL,
    BACKUP,
    RESTORE,
    STORE,
    createSupportBundle(runCli),
    VERSION,
    createCompletion(() => specs),
    createHelp((words) => findCommand(root, words).help()),
  ];
  const root = createCommands(specs, io, run);
  return root;
}

function findCommand(
  root: StellarCommand,
  words: readonly string[],
): StellarCommand {
  let command = root;
  for (const word of words) {
    const names = command.commands.map((found) => found.name());
    const found = command.commands[names.indexOf(word)];
    if (!found) {
      return command.error(
        names.length === 0
          ? `it has no command "${word}"`
          : `it has no command "${word}": there are ${names.join(", ")}`,
      );
    }
    command = found as StellarCommand;
  }
  return command;
}
