/** A command that runs on a terminal of its own, as a person would run it. */
export interface PtyProcess extends AsyncDisposable {
  /** Waits until it has written a text, and returns all that it has. Fails when it ends before. */
  waitFor(pattern: RegExp): Promise<string>;
  /** Types a text; `"\x03"` interrupts. */
  type(text: string): Promise<void>;
  /** Waits for its end, and returns its exit code. */
  ended(): Promise<number>;
}

/** Runs a command on a terminal, with script(1) of util-linux. */
export function runOnPty(
  command: readonly string[],
  options: { readonly cwd: string; readonly within?: readonly string[] },
): PtyProcess {
  const { cwd, within = [] } = options;
  // In place of the shell, which Ctrl-C would end as well.
  const line = `exec ${command.map(quoteWord).join(" ")}`;
  const script = ["script", "--quiet", "--return", "--flush"]
    .concat("--command", line, "/dev/null");
  const [program, ...args] = [...within, ...script];
  const child = new Deno.Command(program!, {
    args,
    cwd,
    env: { SHELL: "/bin/sh", TERM: "xterm", NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let written = "";
  return {
    async waitFor(pattern) {
      while (!pattern.test(written)) {
        const { done, value } = await reader.read();
        if (done) {
          throw new Error(`Cannot see ${pattern}: it ended\n${written}`);
        }
        written += value.replaceAll("\r\n", "\n");
      }
      return written;
    },
    async type(text) {
      await writer.write(new TextEncoder().encode(text));
    },
    async ended() {
      while (true) {
        const { done, value } = await reader.read();
        if (done) break;
        written += value;
      }
      return (await child.status).code;
    },
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {});
      await reader.cancel();
      // The terminal goes with it, and then all that runs on it (SIGHUP).
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended.
      }
      await child.status;
    },
  };
}

/** Quotes a word for sh. */
function quoteWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
