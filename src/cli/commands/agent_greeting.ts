import { SOCKET } from "../framework/target.ts";

/** The socket of `deno task start`, which the task `stellar-net` calls. */
const TASK_SOCKET = ".state/agent.sock";

/**
 * The command line that calls an agent.
 *
 * @param main path of the main module; undefined for a built program
 */
export function formatProgram(
  socketPath: string,
  main: string | undefined,
): string {
  const isDefault = socketPath ===
    (main === undefined ? SOCKET.default : TASK_SOCKET);
  const program = main === undefined
    ? "stellar-net"
    : isDefault
    ? "npx -y deno@2.9.6 task stellar-net"
    : `deno run -A ${main}`;
  return isDefault ? program : `${program} --socket ${socketPath}`;
}

/** Where an agent serves, for its greeting. */
export interface GreetingOptions {
  /** The command that calls it, as `formatProgram` gives it. */
  readonly program: string;
  readonly node: string;
  readonly socketPath: string;
  /** TCP addresses that accept plain text; the example uses the first. */
  readonly plain: readonly string[];
  /** TCP addresses that it listens on. */
  readonly addresses: readonly string[];
}

/** Says where an agent serves, and what to try next. */
export function formatGreeting(options: GreetingOptions): string {
  const { program, node, socketPath, addresses, plain } = options;
  const example = { node, id: "web2" };
  const lines = [
    `Node "${node}" serves on ${[socketPath, ...addresses].join(" and ")}`,
    "Try next, in another terminal:",
    `  ${program} ip allocate web1`,
    `  ${program} status`,
    ...plain.slice(0, 1).map((address) =>
      `  curl -H 'content-type: application/json' -d '${
        JSON.stringify(example)
      }' http://${address}/stellar.services.network.v1.Network/AllocateIP`
    ),
  ];
  return `${lines.join("\n")}\n`;
}
