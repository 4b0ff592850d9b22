import assert from "node:assert/strict";
import { hostname } from "node:os";
import { ROOT } from "../generate.ts";
import { asNobody, type CommandLine, NOBODY } from "../support/as_nobody.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { runOnPty } from "../support/pty.ts";
import { run, type RunResult } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const ADDRESS = "127.0.0.1:9000";
/** How the documents and the agent write Deno. */
const NPX = "npx -y deno@2.9.6 ";
const STOP_MS = 60_000;

/** A clone of the project, and its user. */
interface Newcomer {
  readonly clone: string;
  readonly uid: number;
  /** How this user runs Deno in the clone. */
  deno(args: readonly string[]): Promise<CommandLine>;
  /** Runs a line as it is written, in a shell. */
  shell(line: string): Promise<RunResult>;
}

/** Clones what is committed. */
async function clone(dir: string): Promise<string> {
  // The checkout may belong to another user than the one who runs the tests.
  await Deno.writeTextFile(`${dir}/gitconfig`, "[safe]\n\tdirectory = *\n");
  const path = `${dir}/clone`;
  const { code, stderr } = await run("git", ["clone", "--quiet", ROOT, path], {
    env: { GIT_CONFIG_GLOBAL: `${dir}/gitconfig` },
  });
  assert.equal(code, 0, stderr);
  return path;
}

/** The user of the tests, for whom every command runs exactly as printed if npx is there. */
async function asTester(
  dir: string,
  namespace: Namespace,
): Promise<Newcomer> {
  const path = await clone(dir);
  const npx = await run("bash", ["-c", "command -v npx"]);
  return {
    clone: path,
    uid: Deno.uid()!,
    deno: (args) => Promise.resolve({ command: Deno.execPath(), args }),
    shell(line) {
      if (!line.startsWith(NPX)) {
        return runIn(path, [...namespace.within, "bash", "-c", line]);
      }
      // npx asks its registry, so it is not run in the namespace; the agent's
      // socket is reached from everywhere.
      return npx.code === 0
        ? runIn(path, ["bash", "-c", line])
        : runIn(path, [Deno.execPath(), ...line.slice(NPX.length).split(" ")]);
    },
  };
}

/** An ordinary user, who has Deno: npx would get another one for this user. */
async function asOrdinaryUser(
  dir: string,
  namespace: Namespace,
): Promise<Newcomer> {
  const path = await clone(dir);
  const member = await Deno.makeTempDir({ dir });
  if (Deno.uid() === 0) {
    await Deno.chmod(dir, 0o755);
    await run("chown", ["-R", `${NOBODY}:${NOBODY}`, path]);
  }
  const deno = (args: readonly string[]) =>
    asNobody(member, args, { source: path });
  return {
    clone: path,
    uid: Deno.uid() === 0 ? NOBODY : Deno.uid()!,
    deno,
    async shell(line) {
      if (!line.startsWith(NPX)) {
        return await runIn(path, [...namespace.within, "bash", "-c", line]);
      }
      const { command, args } = await deno(line.slice(NPX.length).split(" "));
      return await runIn(path, [command, ...args]);
    },
  };
}

function runIn(
  cwd: string,
  [command, ...args]: readonly string[],
): Promise<RunResult> {
  return run(command!, args, { cwd, env: { NO_COLOR: "1" } });
}

/** Runs a line that has to succeed, and returns what it printed. */
async function succeed(newcomer: Newcomer, line: string): Promise<string> {
  const { code, stdout, stderr } = await newcomer.shell(line);
  assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
  return stdout;
}

function end(child: Deno.ChildProcess): void {
  try {
    // The task hands it on, which it cannot do with SIGKILL.
    child.kill("SIGTERM");
  } catch {
    // It has ended.
  }
}

/** The commands in a document, those of the section alone that needs a running agent. */
function commandsOf(markdown: string): string[] {
  const section = /^## A first address$(.*?)^## /ms.exec(markdown)?.[1] ?? "";
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)]
    .flatMap(([, block]) => block!.replaceAll("\\\n", "").trim().split("\n"));
}

const USERS: Readonly<
  Record<string, (dir: string, namespace: Namespace) => Promise<Newcomer>>
> = {
  "the user of the tests": asTester,
  "an ordinary user": asOrdinaryUser,
};

for (const [who, create] of Object.entries(USERS)) {
  Deno.test(`${who} clones the project, starts it, tries the printed commands and stops it`, (t) =>
    withTempDir(async (dir) => {
      // Port 9000 may be taken, and parts of the network used, where this runs.
      await using namespace = await createNamespace("net", "ip link set lo up");
      const newcomer = await create(dir, namespace);
      const { command, args } = await newcomer.deno(["task", "start"]);
      const start = [command, ...args];
      const socket = `${newcomer.clone}/.state/agent.sock`;
      {
        await using terminal = runOnPty(start, {
          cwd: newcomer.clone,
          within: namespace.within,
        });
        const greeting = await terminal.waitFor(/AllocateIP\n/);
        await t.step("it says where it serves", () => {
          const text =
            `Node "${hostname()}" serves on .state/agent.sock and ${ADDRESS}`;
          assert.ok(greeting.includes(text), greeting);
          assert.equal(Deno.statSync(socket).uid, newcomer.uid);
        });
        await t.step("the README's commands work", async () => {
          const readme = await Deno.readTextFile(`${newcomer.clone}/README.md`);
          const lines = commandsOf(readme);
          assert.ok(lines.length >= 7, lines.join("\n"));
          const printed: string[] = [];
          for (const line of lines) printed.push(await succeed(newcomer, line));
          const promised = ['{"subnetCidr":"172.16.0.0/22","node":"node0"}']
            .concat('{"ip":"172.16.0.2","node":"node0"}');
          assert.deepEqual(printed.slice(0, 2), promised);
          for (const text of promised) assert.ok(readme.includes(text));
        });
        await t.step("what it prints works", async () => {
          const lines = [...greeting.matchAll(/^ {2}(\S.*)$/gm)]
            .map(([, line]) => line!);
          assert.equal(lines.length, 3, greeting);
          const [allocated, status, ip] = [
            await succeed(newcomer, lines[0]!),
            await succeed(newcomer, lines[1]!),
            await succeed(newcomer, lines[2]!),
          ];
          assert.match(allocated, /172\.16\.4\.2/);
          assert.match(status, /172\.16\.4\.0\/22/);
          assert.deepEqual(JSON.parse(ip), {
            ip: "172.16.4.3",
            node: hostname(),
          });
        });
        await t.step("Ctrl-C stops it", async () => {
          await terminal.type("\x03");
          assert.equal(await terminal.ended(), 0);
          await assert.rejects(Deno.lstat(socket), Deno.errors.NotFound);
        });
      }
      await t.step(
        "the next start knows the address, and SIGTERM stops it",
        async () => {
          const [program, ...words] = [...namespace.within, ...start];
          const child = new Deno.Command(program!, {
            args: words,
            cwd: newcomer.clone,
            stdin: "null",
            stdout: "null",
            stderr: "null",
          }).spawn();
          try {
            const request = JSON.stringify({ node: hostname(), id: "web1" });
            const call = `stellar.services.network.v1.Network/AllocateIP`;
            const { stdout } = await newcomer.shell(
              "curl --silent --retry-connrefused --retry 120 --retry-delay 1 " +
                `--json '${request}' http://${ADDRESS}/${call}`,
            );
            assert.equal(JSON.parse(stdout).ip, "172.16.4.2");
            const before = performance.now();
            child.kill("SIGTERM");
            assert.equal((await child.status).code, 0);
            assert.ok(performance.now() - before < STOP_MS);
            await assert.rejects(Deno.lstat(socket), Deno.errors.NotFound);
          } finally {
            end(child);
            await child.status;
          }
        },
      );
    }));
}
