import assert from "node:assert/strict";
import { DenoIdentityFiles } from "../../../src/security/files/deno_identity_files.ts";
import { checkSecretFile } from "../../../src/system/secret_file.ts";
import { withTempDir } from "../../support/temp_dir.ts";

async function modeOf(path: string): Promise<number> {
  return (await Deno.stat(path)).mode! & 0o7777;
}

Deno.test("DenoIdentityFiles keeps files that its user alone reads", () =>
  withTempDir(async (dir) => {
    const at = `${dir}/state/identity`;
    const files = new DenoIdentityFiles(at);
    assert.equal(await files.read("key.pem"), undefined);
    await files.write("key.pem", "first");
    await files.write("key.pem", "second");
    await files.write("trust.json", "{}");
    assert.equal(await files.read("key.pem"), "second");
    assert.equal(await modeOf(at), 0o700);
    assert.equal(await modeOf(`${at}/key.pem`), 0o600);
    const names = (await Array.fromAsync(Deno.readDir(at)))
      .map(({ name }) => name).sort();
    assert.deepEqual(names, ["key.pem", "trust.json"]);
  }));

Deno.test("DenoIdentityFiles names the obstacle and its path", () =>
  withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const files = new DenoIdentityFiles(`${dir}/file`);
    await assert.rejects(files.write("key.pem", "x"), {
      name: "NetError",
      code: "unavailable",
      message: /^Cannot make the folder ".*\/file": /,
    });
    await Deno.mkdir(`${dir}/other/chain.pem`, { recursive: true });
    const other = new DenoIdentityFiles(`${dir}/other`);
    await Deno.chmod(`${dir}/other/chain.pem`, 0o700);
    await assert.rejects(other.read("chain.pem"), {
      code: "failed_precondition",
      message: /^Cannot use ".*\/other\/chain.pem": it is not a regular file$/,
    });
  }));

Deno.test("checkSecretFile() refuses files that others than the owner may use", async (t) => {
  const rows: readonly [mode: number, says: RegExp | undefined][] = [
    [0o600, undefined],
    [0o400, undefined],
    [0o700, undefined],
    [0o640, /its mode is 0640, .*; run chmod 600 \S+\/secret$/],
    [0o604, /its mode is 0604, /],
    [0o620, /its mode is 0620, /],
    [0o601, /its mode is 0601, /],
    [0o644, /its mode is 0644, /],
  ];
  for (const [mode, says] of rows) {
    await t.step(mode.toString(8), () =>
      withTempDir(async (dir) => {
        const path = `${dir}/secret`;
        await Deno.writeTextFile(path, "x");
        await Deno.chmod(path, mode);
        const check = checkSecretFile(path);
        const found = await check.then(() => undefined, (error) => error);
        assert.deepEqual(
          [found?.name, found?.code],
          says ? ["NetError", "failed_precondition"] : [undefined, undefined],
        );
        assert.match(found?.message ?? "", says ?? /^$/);
      }));
  }
  await t.step("a link to one", () =>
    withTempDir(async (dir) => {
      await Deno.writeTextFile(`${dir}/secret`, "x", { mode: 0o644 });
      await Deno.chmod(`${dir}/secret`, 0o644);
      await Deno.symlink(`${dir}/secret`, `${dir}/link`);
      await assert.rejects(checkSecretFile(`${dir}/link`), /0644/);
    }));
  await t.step(
    "none",
    () => withTempDir((dir) => checkSecretFile(`${dir}/none`)),
  );
});
