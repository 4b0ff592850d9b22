import assert from "node:assert/strict";
import { findGroup } from "../../src/system/groups.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("findGroup() finds groups by name or number, and says which there is not", (t) =>
  withTempDir(async (dir) => {
    const path = `${dir}/group`;
    await Deno.writeTextFile(
      path,
      "root:x:0:\nadm:x:4:syslog,me\nbad:x::\n12ab:x:77:\n",
    );
    const missing = (name: string) =>
      `Cannot give the socket to group "${name}": "${path}" has none of that name; ` +
      "make it with groupadd, or give its number with --socket-group";
    const rows: readonly [group: string, found: number | string][] = [
      ["root", 0],
      ["adm", 4],
      ["12ab", 77],
      ["1000", 1000],
      ["me", missing("me")],
      ["bad", missing("bad")],
      ["4294967295", missing("4294967295")],
    ];
    for (const [group, found] of rows) {
      await t.step(group, async () => {
        const answer = await findGroup(group, path)
          .catch((error: Error) => error.message);
        assert.equal(answer, found);
      });
    }
    await t.step(
      "no such file",
      () =>
        assert.rejects(findGroup("adm", `${dir}/none`), {
          code: "failed_precondition",
        }),
    );
  }));
