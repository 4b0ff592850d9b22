/**
 * `deno task lab`: hosts, agents and containers on one machine, to look at.
 */
import { parseArgs } from "node:util";
import {
  down,
  exec,
  ping,
  PROGRAM,
  status,
  up,
  type UpOptions,
  UsageError,
} from "./commands.ts";

const HELP =
  `Hosts, agents and containers in network namespaces of this machine. Needs root.

  ${PROGRAM}                         up with three hosts
  ${PROGRAM} up [--hosts N] [--containers N] [--insecure]
                                        build it: N hosts (3), N containers on each (2);
                                        let in by tokens, unless they talk in plain text
  ${PROGRAM} status                  show what is there
  ${PROGRAM} exec NAME [COMMAND ...] run a program, or a shell, on host1 or in host1/c1
  ${PROGRAM} ping [FROM] [TO]        host1/c1 pings host2/c1
  ${PROGRAM} down                    take it down, whatever has become of it

It has no way out, and touches nothing of this machine's own network.`;

async function runLab(args: readonly string[]): Promise<number> {
  const [command = "up", ...rest] = args;
  switch (command) {
    case "up":
      return await up(parseUp(rest));
    case "status":
      expect(rest, { atMost: 0 });
      return await status();
    case "exec": {
      const [name, ...line] = rest;
      if (name === undefined) {
        throw new UsageError("exec needs the name of a host or container");
      }
      return await exec(name, line);
    }
    case "ping":
      expect(rest, { atMost: 2 });
      return await ping(rest[0] ?? "host1/c1", rest[1] ?? "host2/c1");
    case "down":
      expect(rest, { atMost: 0 });
      return await down();
    case "help":
    case "--help":
    case "-h":
      console.log(HELP);
      return 0;
    default:
      throw new UsageError(`"${command}" is no command`);
  }
}

function parseUp(args: readonly string[]): UpOptions {
  const number = { type: "string" } as const;
  const parsed = () => {
    try {
      return parseArgs({
        args: [...args],
        options: {
          hosts: number,
          containers: number,
          insecure: { type: "boolean" },
        },
      }).values;
    } catch (error) {
      throw new UsageError(error instanceof Error ? error.message : "");
    }
  };
  const { hosts = "3", containers = "2", insecure = false } = parsed();
  return {
    hosts: parseCount("--hosts", hosts),
    containers: parseCount("--containers", containers),
    isInsecure: insecure,
  };
}

function parseCount(flag: string, text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new UsageError(`${flag}: "${text}" is no number from 1 to 999`);
}

function expect(
  args: readonly string[],
  { atMost }: { readonly atMost: number },
): void {
  if (args.length <= atMost) return;
  throw new UsageError(`"${args[atMost]}" is too much`);
}

if (import.meta.main) {
  let code: number;
  try {
    code = await runLab(Deno.args);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(
      error instanceof UsageError ? `${message}: see ${PROGRAM} help` : message,
    );
    code = error instanceof UsageError ? 2 : 1;
  }
  // The agents are children of this process, and stay.
  Deno.exit(code);
}
