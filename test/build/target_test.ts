import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import {
  checkExecutable,
  findRuntime,
  findTarget,
  TARGETS,
} from "../../src/build/target.ts";
import type { CommandRunner } from "../../src/system/command.ts";
import { withTempDir } from "../support/temp_dir.ts";

const AARCH64 = findTarget("aarch64-unknown-linux-gnu");

Deno.test("findTarget() names the targets that there are", () => {
  assert.throws(() => findTarget("sparc"), {
    message:
      'Cannot build for "sparc": the targets are x86_64-unknown-linux-gnu ' +
      "and aarch64-unknown-linux-gnu",
  });
});

Deno.test("checkExecutable() knows the machine of an executable", async (t) => {
  const elf = (machine: number) => {
    const bytes = new Uint8Array(64);
    bytes.set([0x7f, 0x45, 0x4c, 0x46]);
    bytes[18] = machine;
    return bytes;
  };
  const rows: readonly [name: string, bytes: Uint8Array, says: RegExp][] = [
    ["another's", elf(62), /the runtime is for the machine 62, and 183 is/],
    [
      "a script",
      new TextEncoder().encode("#!/bin/sh\nexit\n# long enough"),
      /no ELF file/,
    ],
    ["nothing", new Uint8Array(), /no ELF file/],
  ];
  for (const [name, bytes, says] of rows) {
    await t.step(name, () => {
      assert.throws(() => checkExecutable(bytes, AARCH64), says);
    });
  }
  checkExecutable(elf(183), AARCH64);
  checkExecutable(
    await Deno.readFile(Deno.execPath()),
    findTarget(Deno.build.target),
  );
});

const OTHER = TARGETS.find(({ triple }) => triple !== Deno.build.target)!;
const OWN = TARGETS.find(({ triple }) => triple === Deno.build.target)!;

/** npm that installs one file as a package's runtime. */
function npm(bytes: Uint8Array, asked: string[]): CommandRunner {
  return {
    async run({ program, args }) {
      asked.push(program, args.at(-1)!);
      const dir = args[args.indexOf("--prefix") + 1];
      const file = `${dir}/node_modules/${OTHER.npmPackage}/deno`;
      await Deno.mkdir(dirname(file), { recursive: true });
      await Deno.writeFile(file, bytes);
      return { code: 0, stdout: "", stderr: "" };
    },
  };
}

const NO_NPM: CommandRunner = {
  run: () =>
    Promise.resolve({ code: 1, stdout: "", stderr: "npm error code E404\n" }),
};

Deno.test("findRuntime() takes its own for its own target", async () => {
  const { deno: version } = Deno.version;
  const options = { target: OWN, version, dir: "/nonexistent", runner: NO_NPM };
  const bytes = await findRuntime(options);
  assert.equal(bytes.length, (await Deno.stat(Deno.execPath())).size);
});

Deno.test("findRuntime() asks npm for another's, and looks what it is", () =>
  withTempDir(async (dir) => {
    const elf = new Uint8Array(64);
    elf.set([0x7f, 0x45, 0x4c, 0x46]);
    elf[18] = OTHER.elfMachine;
    const asked: string[] = [];
    const digest = createHash("sha256").update(elf).digest("hex");
    const options = { target: OTHER, version: "2.9.5", dir, digest };
    const runner = npm(elf, asked);
    assert.deepEqual(await findRuntime({ ...options, runner }), elf);
    assert.deepEqual(asked, ["npm", `${OTHER.npmPackage}@2.9.5`]);
    elf[18] = OWN.elfMachine;
    await assert.rejects(
      findRuntime({ ...options, runner: npm(elf, []) }),
      /the runtime is for the machine/,
    );
  }));

Deno.test("findRuntime() uses no runtime but the one whose digest is pinned", () =>
  withTempDir(async (dir) => {
    const elf = new Uint8Array(64);
    elf.set([0x7f, 0x45, 0x4c, 0x46]);
    elf[18] = OTHER.elfMachine;
    const asked: string[] = [];
    const options = { target: OTHER, dir, runner: npm(elf, asked) };
    await assert.rejects(findRuntime({ ...options, version: "2.9.5" }), {
      code: "failed_precondition",
      message: /its digest is not pinned; .* give it with --runtime-digest$/,
    });
    assert.deepEqual(asked, []);
    const { deno: version } = Deno.version;
    await assert.rejects(findRuntime({ ...options, version }), {
      code: "failed_precondition",
      message: new RegExp(
        `its SHA-256 is [0-9a-f]{64}, and ${
          OTHER.runtimes[version]
        } is pinned$`,
      ),
    });
  }));

Deno.test("the digest of this runtime is the pinned one", async () => {
  const bytes = await Deno.readFile(Deno.execPath());
  const digest = createHash("sha256").update(bytes).digest("hex");
  assert.equal(OWN.runtimes[Deno.version.deno], digest);
});

Deno.test("findRuntime() says which runtime cannot be had, and the way out", async () => {
  const digest = "0".repeat(64);
  const dir = "/nonexistent";
  const options = { target: OTHER, version: "0.0.1", dir, digest };
  await assert.rejects(findRuntime({ ...options, runner: NO_NPM }), {
    code: "unavailable",
    message: new RegExp(
      `^Cannot fetch the runtime "${OTHER.npmPackage}@0.0.1" with npm: npm error code E404; .*--runtime$`,
    ),
  });
});
