import assert from "node:assert/strict";
import { join } from "node:path";
import { parseEnvironment } from "../../src/install/plan/agent_env.ts";
import {
  ENV_PATH,
  programPath,
  UNIT_PATH,
} from "../../src/install/plan/layout.ts";
import { DenoHostFiles } from "../../src/install/deno_host_files.ts";
import { formatLauncher } from "../../src/cni/file_setup.ts";
import { type CliRun, runFake } from "../cli/fake_io.ts";
import { createFakeInstaller } from "../fake/fake_installer.ts";
import { ROOT } from "../generate.ts";

export interface InstallOptions {
  /** What tells one version of the program from another. */
  readonly version: string;
  /** Flags of `install`. */
  readonly flags: readonly string[];
}

/** An image of a host that a stand-in for the executable, which runs the sources, is installed into. */
export class Installation {
  /** Folder that stands for the root of the host. */
  readonly root: string;

  /** @param dir folder of its own */
  constructor(dir: string) {
    this.root = join(dir, "image");
  }

  /** The path of something that is in the image, from without. */
  at(path: string): string {
    return `${this.root}${path}`;
  }

  /** Runs `stellar-net install`. */
  async install({ version, flags }: InstallOptions): Promise<CliRun> {
    const programPath = `${this.root}-${version}`;
    const launcher = formatLauncher([
      ...[Deno.execPath(), "run", "--quiet", "-A", "--cached-only"],
      join(ROOT, "main.ts"),
    ]);
    await Deno.writeTextFile(programPath, `${launcher}# ${version}\n`);
    return await this.run(["install", ...flags], programPath);
  }

  /** Runs a command of `stellar-net` on the image. */
  async run(args: readonly string[], programPath?: string): Promise<CliRun> {
    const installer = {
      ...createFakeInstaller(),
      programPath,
      filesAt: (root: string) => new DenoHostFiles(root),
    };
    const result = await runFake([...args, "--root", this.root], { installer });
    assert.equal(result.code, 0, result.stderr);
    return result;
  }

  /** The unit, with its program where it is. */
  async unit(): Promise<string> {
    const text = await Deno.readTextFile(this.at(UNIT_PATH));
    const program = programPath("/usr/local");
    assert.ok(text.includes(`ExecStart=${program} agent\n`));
    return text.replace(program, this.at(program));
  }

  /** A setting of the unit. */
  async setting(name: string): Promise<string> {
    const lines = (await this.unit()).split("\n");
    const line = lines.find((line) => line.startsWith(`${name}=`));
    assert.ok(line, name);
    return line.slice(name.length + 1);
  }

  /** The command line that the unit runs, and the environment that it has. */
  async command(): Promise<{
    readonly line: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }> {
    const text = await Deno.readTextFile(this.at(ENV_PATH));
    return {
      line: (await this.setting("ExecStart")).split(" "),
      env: Object.fromEntries(parseEnvironment(text)),
    };
  }
}
