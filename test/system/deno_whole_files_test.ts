import assert from "node:assert/strict";
import { lchownSync } from "node:fs";
import { DenoWholeFiles } from "../../src/system/deno_whole_files.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** The user nobody of Debian. */
const NOBODY = 65534;

async function* pieces(text: string) {
  yield await Promise.resolve(new TextEncoder().encode(text));
}

Deno.test("DenoWholeFiles.write() writes through no link of another user", (t) =>
  withTempDir(async (dir) => {
    const shared = `${dir}/shared`;
    await Deno.mkdir(shared);
    // As /tmp.
    await Deno.chmod(shared, 0o1777);
    const secret = `${dir}/secret`;
    const files = new DenoWholeFiles();
    const rows: readonly [
      what: string,
      link: string,
      target: string,
      path: string,
      isForeign: boolean,
    ][] = [
      ["a foreign link", "backup", secret, "backup", true],
      ["a foreign link to nothing", "none", `${dir}/none`, "none", true],
      ["a folder behind a foreign link", "folder", dir, "folder/secret", true],
      ["a link of its own", "own", secret, "own", false],
    ];
    for (const [what, link, target, path, isForeign] of rows) {
      await t.step(what, async () => {
        await Deno.writeTextFile(secret, "before");
        await Deno.symlink(target, `${shared}/${link}`);
        if (isForeign) lchownSync(`${shared}/${link}`, NOBODY, NOBODY);
        const written = files.write(`${shared}/${path}`, pieces("after"));
        if (isForeign) {
          await assert.rejects(written, {
            code: "failed_precondition",
            message:
              `Cannot use "${shared}/${path}": "${shared}/${link}" is a link of user ${NOBODY}; name another place`,
          });
        } else await written;
        const text = await Deno.readTextFile(secret);
        assert.equal(text, isForeign ? "before" : "after");
      });
    }
  }));
