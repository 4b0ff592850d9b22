import assert from "node:assert/strict";
import { asNobody, NOBODY } from "../support/as_nobody.ts";
import {
  describeTree,
  type RefusalOptions,
  runRefused,
} from "../support/refusal.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** An agent that cannot start. */
interface Row {
  readonly name: string;
  /** Makes what it finds in a folder. */
  readonly prepare?: (dir: string) => Promise<unknown>;
  /** Behind `agent --state DIR/state --socket DIR/agent.sock`. */
  readonly args?: (dir: string) => readonly string[];
  /** Runs it in another way; `home` is a folder for that. */
  readonly run?: (dir: string, member: string) => RefusalOptions;
  /** A part of what it says. */
  readonly says: (dir: string) => string;
  /** Whether it gets as far as its own state. Default false: then it writes nothing at all. */
  readonly opensState?: true;
}

const DAMAGED = "the file is damaged or no state file; " +
  "restore it from a backup, or move it away to start empty";
const CHOOSE =
  "; make it a folder that this user can write, or name another with --state";
const NOT_A_SOCKET = "it exists and is not a socket; " +
  "move it away, or name another path with --socket";

function asUser(_dir: string, member: string): RefusalOptions {
  return { as: (args) => asNobody(member, args) };
}

/** Runs where the state folder is a file system of its own, made with options of mount(8). */
function mounted(options: string): (dir: string) => RefusalOptions {
  const script = `mkdir "$2"; mount -t tmpfs -o "$1" none "$2"
    shift 2; "$@"; code=$?; cd /; exit $code`;
  return (dir) => ({
    as: (args) =>
      Promise.resolve({
        command: "unshare",
        args: ["--map-root-user", "--mount", "--propagation", "private"]
          .concat("bash", "-c", script, "bash", options, `${dir}/state`)
          .concat(Deno.execPath(), args),
      }),
  });
}

const ROWS: readonly Row[] = [
  {
    name: "a state file of garbage",
    async prepare(dir) {
      await Deno.mkdir(`${dir}/state`);
      const bytes = crypto.getRandomValues(new Uint8Array(8192));
      await Deno.writeFile(`${dir}/state/state.db`, bytes, { mode: 0o600 });
    },
    says: (dir) =>
      `Cannot open the state file "${dir}/state/state.db": ${DAMAGED}`,
  },
  {
    name: "a state file that is a folder",
    prepare: (dir) => Deno.mkdir(`${dir}/state/state.db`, { recursive: true }),
    says: (dir) =>
      `Cannot open the state file "${dir}/state/state.db": it cannot be a file`,
  },
  {
    name: "a state folder that is a file",
    prepare: (dir) => Deno.writeTextFile(`${dir}/state`, "precious"),
    says: (dir) =>
      `Cannot use the state folder "${dir}/state": it is not a folder${CHOOSE}`,
  },
  {
    name: "a state folder below a file",
    prepare: (dir) => Deno.writeTextFile(`${dir}/file`, "precious"),
    args: (dir) => ["--state", `${dir}/file/state`],
    says: (dir) =>
      `Cannot use the state folder "${dir}/file/state": it is not a folder`,
  },
  {
    name: "a state folder that this user cannot make",
    prepare: (dir) => Deno.chmod(dir, 0o555),
    run: asUser,
    says: (dir) =>
      `Cannot use the state folder "${dir}/state": permission denied${CHOOSE}`,
  },
  {
    name: "a state folder that this user cannot write",
    async prepare(dir) {
      await Deno.chmod(dir, 0o755);
      await Deno.mkdir(`${dir}/state`);
      await Deno.chmod(`${dir}/state`, 0o555);
    },
    run: asUser,
    says: (dir) =>
      `Cannot use the state folder "${dir}/state": permission denied${CHOOSE}`,
  },
  {
    name: "a read-only file system",
    run: mounted("ro"),
    says: (dir) =>
      `Cannot use the state folder "${dir}/state": it is on a read-only file system${CHOOSE}`,
  },
  {
    name: "a device without space",
    run: mounted("size=4k,mode=700"),
    says: (dir) =>
      `Cannot open the state file "${dir}/state/state.db": no space is left on the device; free some and try again`,
  },
  {
    name: "a socket path with a file",
    prepare: (dir) => Deno.writeTextFile(`${dir}/agent.sock`, "precious"),
    says: (dir) => `Cannot listen on "${dir}/agent.sock": ${NOT_A_SOCKET}`,
    opensState: true,
  },
  {
    name: "a socket path with a folder",
    prepare: (dir) => Deno.mkdir(`${dir}/agent.sock`),
    says: (dir) => `Cannot listen on "${dir}/agent.sock": ${NOT_A_SOCKET}`,
    opensState: true,
  },
  {
    name: "a socket path below a file",
    prepare: (dir) => Deno.writeTextFile(`${dir}/file`, "precious"),
    args: (dir) => ["--socket", `${dir}/file/agent.sock`],
    says: (dir) => `Cannot listen on "${dir}/file/agent.sock": `,
    opensState: true,
  },
  {
    name: "a socket where this user has no permission",
    async prepare(dir) {
      await Deno.mkdir(`${dir}/state`, { mode: 0o700 });
      await Deno.chown(`${dir}/state`, NOBODY, NOBODY);
      await Deno.chmod(dir, 0o555);
    },
    run: asUser,
    says: (dir) =>
      `Cannot listen on "${dir}/agent.sock": no permission to make a socket there`,
    opensState: true,
  },
  {
    name: "a socket path in a folder whose name is long",
    args: (dir) => ["--socket", `${dir}/${"x".repeat(102 - dir.length)}/s`],
    says: () => "a socket's has at most ",
    opensState: true,
  },
];

for (const { name, prepare, args, run, says, opensState } of ROWS) {
  Deno.test(`an agent does not start on ${name}, and says so`, () =>
    withTempDir((member) =>
      withTempDir(async (dir) => {
        await prepare?.(dir);
        const before = await describeTree(dir);
        const { code, message } = await runRefused([
          ...["agent", "--node", "node1", "--state", `${dir}/state`],
          ...["--socket", `${dir}/agent.sock`, ...args?.(dir) ?? []],
        ], run?.(dir, member));
        assert.equal(code, 1, message);
        assert.ok(message.includes(says(dir)), message);
        const after = await describeTree(dir);
        assert.deepEqual({ ...after, ...before }, after);
        // An empty folder may stay behind, and its own state where it got so far.
        const state = `${dir}/state`;
        const isOwn = (path: string) =>
          path === state || (opensState && path.startsWith(`${state}/`));
        const added = Object.keys(after)
          .filter((path) => !(path in before) && !isOwn(path));
        assert.deepEqual(added, []);
        await Deno.chmod(dir, 0o700);
      })
    ));
}
