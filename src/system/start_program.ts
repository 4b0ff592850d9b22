import { NetError } from "../base/error.ts";

/** The environment of a program, as options of `Deno.Command`. */
export type ProgramEnvironment = Pick<Deno.CommandOptions, "clearEnv" | "env">;

/**
 * Starts a program with this process's environment in the C locale.
 *
 * @param start makes the program's process; throws when it cannot
 * @throws {NetError} `unavailable` when the program cannot be started
 */
export function starting<T>(
  program: string,
  start: (environment: ProgramEnvironment) => T,
): T {
  const fail = (problem: string, cause: unknown) =>
    new NetError("unavailable", `Cannot run "${program}": ${problem}`, {
      cause,
    });
  let environment: ProgramEnvironment;
  try {
    environment = programEnvironment();
  } catch (cause) {
    throw fail("this process may not read the variable PATH", cause);
  }
  try {
    return start(environment);
  } catch (cause) {
    const problem = cause instanceof Deno.errors.NotFound
      ? "it is not installed"
      : cause instanceof Deno.errors.NotCapable
      ? "it was in no folder of PATH when this process started"
      : "it cannot be started";
    throw fail(problem, cause);
  }
}

/**
 * A process that may start only some programs gives them only PATH: the runtime
 * refuses to pass LD_PRELOAD and its like on. It looks a program up in the PATH
 * of the new environment, and grants only the file that it found at its own
 * start: both have to be the same PATH.
 */
function programEnvironment(): ProgramEnvironment {
  const env = { LC_ALL: "C" };
  const { state } = Deno.permissions.querySync({ name: "run" });
  if (state === "granted") return { env };
  const path = Deno.env.get("PATH");
  return {
    clearEnv: true,
    env: path === undefined ? env : { ...env, PATH: path },
  };
}
