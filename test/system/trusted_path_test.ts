import assert from "node:assert/strict";
import {
  checkPrivateFolder,
  faultOfParent,
  faultOfPrivate,
  type PathEntry,
  readPrivateFile,
} from "../../src/system/trusted_path.ts";
import { makeStateDir } from "../../src/system/state_dir.ts";
import { withTempDir } from "../support/temp_dir.ts";

const ME = { uid: 1000, gid: 1000 };
const FOLDER: PathEntry = {
  path: "/x",
  isSymlink: false,
  isDirectory: true,
  mode: 0o755,
  uid: 1000,
  gid: 1000,
};
const NOBODY = 65_534;

Deno.test("faultOfParent() finds users that could replace a folder", async (t) => {
  const rows: readonly [
    what: string,
    entry: Partial<PathEntry>,
    fault: RegExp | undefined,
  ][] = [
    ["one's own", {}, undefined],
    ["root's", { uid: 0, gid: 0 }, undefined],
    ["another's", { uid: 1001 }, /"\/x" belongs to user 1001/],
    ["for everybody", { mode: 0o777 }, /others can write "\/x", .* 0777/],
    ["/tmp", { mode: 0o1777, uid: 0 }, undefined],
    ["another's, sticky", { mode: 0o1777, uid: 1001 }, /user 1001/],
    ["for one's own group", { mode: 0o775 }, undefined],
    ["for another group", { mode: 0o775, gid: 100 }, /others can write/],
    ["root's, for its group", { mode: 0o775, uid: 0, gid: 0 }, undefined],
    ["root's, for one's group", { mode: 0o775, uid: 0 }, /others can write/],
    ["another's link", { isSymlink: true, mode: 0, uid: 1001 }, /user 1001/],
  ];
  for (const [what, entry, fault] of rows) {
    await t.step(what, () => {
      const found = faultOfParent({ ...FOLDER, ...entry }, ME);
      if (fault === undefined) assert.equal(found, undefined);
      else assert.match(found ?? "", fault);
    });
  }
});

Deno.test("faultOfPrivate() finds users that could write a file or folder", async (t) => {
  const rows: readonly [
    what: string,
    entry: Partial<PathEntry>,
    fault: RegExp | undefined,
  ][] = [
    ["one's own", {}, undefined],
    ["root's", { uid: 0 }, /belongs to user 0, not to user 1000; run chown/],
    ["a link", { isSymlink: true }, /is a link/],
    ["for the group", { mode: 0o770 }, /others can write .*; run chmod go-w/],
    ["sticky, for everybody", { mode: 0o1777 }, /others can write/],
  ];
  for (const [what, entry, fault] of rows) {
    await t.step(what, () => {
      const found = faultOfPrivate({ ...FOLDER, ...entry }, ME);
      if (fault === undefined) assert.equal(found, undefined);
      else assert.match(found ?? "", fault);
    });
  }
});

Deno.test("checkPrivateFolder() refuses folders that others can replace or write", async (t) => {
  const rows: readonly [
    what: string,
    prepare: (dir: string) => string | void,
    fault: RegExp | undefined,
  ][] = [
    ["a folder of one's own", () => {}, undefined],
    ["one that all can write", (dir) => {
      Deno.chmodSync(`${dir}/state`, 0o777);
    }, /others can write ".*\/state"/],
    ["below one that all can write", (dir) => {
      Deno.chmodSync(dir, 0o777);
    }, /others can write/],
    ["another user's", (dir) => {
      Deno.chownSync(`${dir}/state`, NOBODY, NOBODY);
    }, /belongs to user 65534/],
    ["below another user's", (dir) => {
      Deno.chownSync(dir, NOBODY, NOBODY);
    }, /belongs to user 65534, who can replace what is in it/],
    ["a link to another user's folder", (dir) => {
      Deno.mkdirSync(`${dir}/theirs`);
      Deno.chownSync(`${dir}/theirs`, NOBODY, NOBODY);
      Deno.symlinkSync(`${dir}/theirs`, `${dir}/link`);
      return `${dir}/link`;
    }, /belongs to user 65534/],
    ["a link of one's own to one's own", (dir) => {
      Deno.symlinkSync(`${dir}/state`, `${dir}/link`);
      return `${dir}/link`;
    }, undefined],
    ["a file that is a link", (dir) => {
      Deno.symlinkSync("/dev/null", `${dir}/state/state.db`);
    }, /state\.db" is a link/],
    ["a folder in it that is a link", (dir) => {
      Deno.symlinkSync("/tmp", `${dir}/state/identity`);
    }, /identity" is a link/],
    ["a file of another user", (dir) => {
      Deno.writeTextFileSync(`${dir}/state/state.db`, "");
      Deno.chownSync(`${dir}/state/state.db`, NOBODY, NOBODY);
    }, /state\.db" belongs to user 65534/],
  ];
  for (const [what, prepare, fault] of rows) {
    await t.step(what, () =>
      withTempDir((dir) => {
        Deno.mkdirSync(`${dir}/state`, { mode: 0o700 });
        const path = prepare(dir) ?? `${dir}/state`;
        const check = () => makeStateDir(path);
        if (fault === undefined) check();
        else {
          assert.throws(check, {
            name: "NetError",
            code: "failed_precondition",
            message: fault,
          });
        }
        return Promise.resolve();
      }));
  }
});

Deno.test("checkPrivateFolder() follows no relative path out of its folder", () =>
  withTempDir((dir) => {
    Deno.mkdirSync(`${dir}/a/b`, { recursive: true });
    Deno.chmodSync(`${dir}/a`, 0o777);
    assert.throws(() => checkPrivateFolder(`${dir}/a/../a/b`, []), {
      message: /others can write ".*\/a"/,
    });
    return Promise.resolve();
  }));

Deno.test("readPrivateFile() reads a file, and follows no link", () =>
  withTempDir((dir) => {
    Deno.writeTextFileSync(`${dir}/file`, "text");
    Deno.symlinkSync(`${dir}/file`, `${dir}/link`);
    assert.equal(readPrivateFile(`${dir}/file`), "text");
    assert.equal(readPrivateFile(`${dir}/none`), undefined);
    assert.throws(() => readPrivateFile(`${dir}/link`), {
      code: "failed_precondition",
      message: /it is a link/,
    });
    return Promise.resolve();
  }));
