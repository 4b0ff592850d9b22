import assert from "node:assert/strict";
import { checkExecutable, findTarget } from "../../src/build/target.ts";

const AARCH64 = findTarget("aarch64-unknown-linux-gnu");

Deno.test("findTarget() names the targets that there are", () => {
  assert.throws(() => findTarget("sparc"), {
    message: 'Cannot build for "sparc": there are x86_64-unknown-linux-gnu ' +
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
