import assert from "node:assert/strict";
import { join } from "node:path";
import {
  checkEtcdOptions,
  readPassword,
  readTls,
} from "../../../src/store/etcd/options.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const OPTIONS = { endpoints: ["h1:2379"], prefix: "/p" };

Deno.test("checkEtcdOptions() refuses contradictory options", async (t) => {
  checkEtcdOptions({ ...OPTIONS, endpoints: ["[::1]:1", "198.18.0.1:2"] });
  const rows: [
    string,
    Partial<Parameters<typeof checkEtcdOptions>[0]>,
    RegExp,
  ][] = [
    ["no endpoint", { endpoints: [] }, /no endpoint is named/],
    ["a URL", { endpoints: ["http://h1:1"] }, /"http:\/\/h1:1" is not a host/],
    ["no port", { endpoints: ["h1"] }, /"h1" is not a host and a port/],
    ["a user", { endpoints: ["u@h1:1"] }, /"u@h1:1" is not a host/],
    ["no prefix", { prefix: "" }, /the prefix "" is not made of/],
    ["a space", { prefix: "/a b" }, /the prefix "\/a b" is not made of/],
    ["an end", { prefix: "/a/" }, /the prefix "\/a\/" is not made of/],
    ["a key alone", { tls: { keyPath: "k" } }, /its key go together/],
    ["a certificate alone", { tls: { certPath: "c" } }, /go together/],
  ];
  for (const [name, options, message] of rows) {
    await t.step(name, () => {
      assert.throws(() => checkEtcdOptions({ ...OPTIONS, ...options }), {
        name: "RangeError",
        message,
      });
    });
  }
});

Deno.test("readPassword() reads the first line, and refuses an empty one", () =>
  withTempDir(async (dir) => {
    const passwordPath = join(dir, "password");
    const user = { name: "agent", passwordPath };
    for (const text of ["a b", "a b\n", "a b\r\nmore\n"]) {
      await Deno.writeTextFile(passwordPath, text);
      assert.equal(await readPassword(user), "a b");
    }
    await Deno.writeTextFile(passwordPath, "\na");
    await assert.rejects(() => readPassword(user), {
      name: "NetError",
      code: "failed_precondition",
      message: /its first line is empty$/,
    });
  }));

Deno.test("readTls() names the file that it cannot read", () =>
  withTempDir(async (dir) => {
    assert.deepEqual(await readTls({}), {});
    await Deno.writeTextFile(join(dir, "ca"), "CA");
    assert.deepEqual(await readTls({ caPath: join(dir, "ca") }), { ca: "CA" });
    await assert.rejects(() => readTls({ caPath: join(dir, "none") }), {
      name: "NetError",
      code: "failed_precondition",
      message: `Cannot read "${dir}/none": there is no such file`,
    });
    await assert.rejects(() => readTls({ certPath: dir }), {
      code: "failed_precondition",
    });
  }));
