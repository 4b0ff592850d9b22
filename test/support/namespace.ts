import assert from "node:assert/strict";

// Where the tests are not run by root, a kernel that lets users have namespaces
// of their own does; where neither is there, they fail and say so.
const IS_ROOT = Deno.uid() === 0;

/** A namespace that lives until it is disposed of. */
export interface Namespace extends AsyncDisposable {
  /** Runs the command that is put behind it in the namespace, in the same process and folder. */
  readonly within: readonly string[];
  /** The path by which others see a path that is in the namespace. */
  pathOf(path: string): string;
}

/**
 * Makes a namespace and prepares it with a script of bash.
 *
 * @param kind `mount`: file systems that are mounted in it are seen nowhere
 * else; `net`: a network of its own, with nothing but a loopback interface that
 * is down
 */
export async function createNamespace(
  kind: "mount" | "net",
  script: string,
): Promise<Namespace> {
  const child = new Deno.Command("unshare", {
    args: [
      ...IS_ROOT ? [] : ["--user", "--map-root-user"],
      `--${kind}`,
      ...kind === "mount" ? ["--propagation", "private"] : [],
      ...["bash", "-ec", `${script}\necho ready\nexec sleep infinity`],
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const flags = IS_ROOT ? "" : "--user --preserve-credentials";
  // Whoever enters a mount namespace stands in its root.
  const enter = `exec nsenter --target ${child.pid} --${kind} ${flags} ` +
    `bash -c 'cd "$0" && exec "$@"' "$PWD" "$@"`;
  const reader = child.stdout.getReader();
  const namespace: Namespace = {
    within: ["bash", "-c", enter, "bash"],
    pathOf: (path) => `/proc/${child.pid}/root${path}`,
    async [Symbol.asyncDispose]() {
      await reader.cancel();
      child.kill("SIGKILL");
      await child.status;
    },
  };
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "ready\n");
  return namespace;
}
