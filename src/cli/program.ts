import { CommanderError } from "commander";
import { redactTokens } from "../bundle/redact.ts";
import { AGENT } from "./commands/agent.ts";
import { AUDIT } from "./commands/audit.ts";
import { BACKUP, RESTORE } from "./commands/backup.ts";
import { REGISTRY } from "./commands/registry.ts";
import { Call, type CommandSpec, type GroupSpec } from "./framework/call.ts";
import { CLUSTER, FIND } from "./commands/cluster.ts";
import { CNI } from "./commands/cni.ts";
import {
  createCommands,
  createHelp,
  type Dispatch,
  readGiven,
  type StellarCommand,
} from "./framework/command.ts";
import { createCompletion } from "./framework/completion.ts";
import { DOCKER } from "./commands/docker.ts";
import { DOCTOR } from "./commands/doctor.ts";
import { EVENTS } from "./commands/events.ts";
import { describeFailure, EXIT, exitCodeOf } from "./framework/exit.ts";
import { IDENTITY_GROUP } from "./commands/identity.ts";
import { INSTALL } from "./commands/install.ts";
import type { CliIo } from "./framework/io.ts";
import { IP } from "./commands/ip.ts";
import { NODE } from "./commands/node.ts";
import { PROTO } from "./commands/proto.ts";
import { ROUTE } from "./commands/route.ts";
import { STATUS } from "./commands/status.ts";
import { STORE } from "./commands/store.ts";
import { SUBNET } from "./commands/subnet.ts";
import { createSupportBundle } from "./commands/support_bundle.ts";
import { formatTarget, SOCKET, TARGET_FLAGS } from "./framework/target.ts";
import { escapeText } from "./framework/text.ts";
import { TEST } from "./commands/test.ts";
import { TOKEN } from "./commands/token.ts";
import { UI } from "./commands/ui.ts";
import { UNINSTALL } from "./commands/uninstall.ts";
import { VERSION } from "./commands/version.ts";

/**
 * Runs the command line. Without a command, shows the help.
 *
 * @param args the arguments, without the program's name
 * @returns the exit code. Errors go to stderr; nothing is thrown
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
    // Commander throws this after it printed help or the version.
    if (error instanceof CommanderError) return EXIT.done;
    // A token given in the wrong place stays secret.
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
    CLUSTER,
    FIND,
    EVENTS,
    UI,
    DOCTOR,
    TEST,
    IP,
    SUBNET,
    NODE,
    ROUTE,
    TOKEN,
    IDENTITY_GROUP,
    AUDIT,
    CNI,
    DOCKER,
    INSTALL,
    UNINSTALL,
    BACKUP,
    RESTORE,
    REGISTRY,
    STORE,
    createSupportBundle(runCli),
    PROTO,
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
