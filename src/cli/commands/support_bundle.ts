import { readPages } from "../framework/list.ts";
import {
  type BundlePart,
  type BundleText,
  makeBundle,
} from "../../bundle/bundle.ts";
import { AGENT_PARTS, HOST_PARTS, VARIABLES } from "../../bundle/host_parts.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import { EXIT } from "../framework/exit.ts";
import { parsePath } from "../framework/parsers.ts";
import type { CliIo } from "../framework/io.ts";
import type { OptionalOperand } from "../framework/flag.ts";
import {
  JSON_OUTPUT,
  TARGET_FLAGS,
  targetArgs,
  TIMEOUT,
} from "../framework/target.ts";

const FILE: OptionalOperand<string> = {
  name: "FILE",
  description:
    "archive to write, readable only by its owner; default: a name from host and time, in this folder",
  completion: "file",
  optional: true,
  parse: parsePath,
};

/** Runs a command of this program, and returns its exit code. */
export type RunCli = (args: readonly string[], io: CliIo) => Promise<number>;

/** Makes the command that packs diagnostics. */
export function createSupportBundle(runCli: RunCli): CommandSpec {
  return {
    name: "support-bundle",
    summary: "Pack diagnostics for support into one archive, without secrets",
    action: "create a support bundle",
    operands: [FILE],
    flags: [...TARGET_FLAGS, JSON_OUTPUT, TIMEOUT],
    examples: [
      "stellar-net support-bundle",
      "stellar-net support-bundle /tmp/bundle.tar.gz",
    ],
    run: async (call) => {
      const { io } = call;
      const nowMs = io.now();
      const time = new Date(nowMs).toISOString();
      const host = io.hostname().replaceAll(/[^\w.-]/g, "_").slice(0, 32);
      const stamp = time.slice(0, 19).replaceAll(/[-:]/g, "");
      const folder = `stellar-net-support-${host}-${stamp}`;
      const file = call.operand(FILE) ?? `${folder}.tar.gz`;
      const bundle = await makeBundle(partsOf(call, runCli), {
        folder,
        about: [
          `Support bundle of host ${host}, made ${time} by stellar-net ${io.version}`,
          "Text that looks like a secret is removed. Parts marked FAILED are missing or incomplete.",
        ],
        nowMs,
      });
      await io.files.write(file, compress(bundle.tar));
      const { parts, problems } = bundle;
      call.answer({ file, parts, problems }, [
        `Wrote ${file}: ${parts} parts, ${problems.length} of them failed`,
      ]);
      const byProblem = Map.groupBy(problems, ({ problem }) => problem);
      for (const [problem, parts] of byProblem) {
        call.note(`${parts.map(({ path }) => path).join(", ")}: ${problem}`);
      }
      return EXIT.done;
    },
  };
}

function partsOf(call: Call, runCli: RunCli): BundlePart[] {
  const { io } = call;
  return [
    ...AGENT_PARTS.map(([path, line]): BundlePart => ({
      path,
      read: () => readCommand(call, line, runCli),
    })),
    {
      path: "agent/log.txt",
      read: async () => {
        const { agent } = call.clients();
        const lines = await readPages(async (pageToken) => {
          const page = await agent.listLog({ pageToken });
          return [page.lines, page.nextPageToken];
        });
        return { text: lines.map((line) => line + "\n").join("") };
      },
    },
    {
      path: "environment.txt",
      read: () => Promise.resolve({ text: formatEnvironment(io) }),
    },
    ...HOST_PARTS.map(({ path, ...command }): BundlePart => ({
      path,
      read: async () => {
        const { code, stdout, stderr } = await io.commands.run(command);
        if (code === 0) return { text: stdout };
        const problem = stderr.trim() || `exit code ${code}`;
        return { text: stdout, problem };
      },
    })),
  ];
}

/** Runs a command of this program, and keeps its output. */
async function readCommand(
  call: Call,
  line: string,
  runCli: RunCli,
): Promise<BundleText> {
  let text = "";
  let errors = "";
  // Flags before the command: those nearest to its verb count.
  const args = targetArgs(call.target).concat(
    line === "version" ? [] : ["--timeout", `${call.value(TIMEOUT)}ms`],
    line.split(" "),
  );
  const code = await runCli(args, {
    ...call.io,
    stdout: (piece) => text += piece,
    stderr: (piece) => errors += piece,
  });
  // A doctor that finds faults exits with an error and an answer.
  if (code === EXIT.done || text !== "") return { text: text + errors };
  return { text: "", problem: errors };
}

function formatEnvironment({ env }: CliIo): string {
  const lines = VARIABLES.flatMap((name) =>
    env[name] === undefined ? [] : [`${name}=${env[name]}\n`]
  );
  return lines.join("") || "No variable of this program is set here.\n";
}

async function* compress(
  bytes: Uint8Array<ArrayBuffer>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield* new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
}
