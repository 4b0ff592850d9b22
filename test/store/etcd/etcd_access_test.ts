import assert from "node:assert/strict";
import { join } from "node:path";
import { type EtcdStore, openEtcd } from "../../../src/store/etcd/etcd.ts";
import { createCertificates } from "../../support/certificates.ts";
import { type EtcdCluster, startEtcd } from "../../support/etcd.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { put, WatchReader } from "../../suite/store_suite_support.ts";

const PREFIX = "/access";
const REFUSED = { name: "NetError", code: "failed_precondition" };

/** Plain text in place of TLS, or TLS in place of plain text, is told only after the time limit. */
const MIXED_UP_MS = 3_000;

/** Registers a test with a cluster of one member that knows two users. */
function testAuth(
  name: string,
  body: (
    cluster: EtcdCluster,
    open: (user?: string, password?: string) => Promise<EtcdStore>,
  ) => Promise<void>,
): void {
  Deno.test(name, () =>
    withTempDir(async (dir) => {
      await using cluster = await startEtcd();
      const stores: EtcdStore[] = [];
      const steps = [
        ["user", "add", "root:root"],
        ["user", "grant-role", "root", "root"],
        ["role", "add", "agents"],
        ["role", "grant-permission", "agents", "--prefix=true", "readwrite"]
          .concat(`${PREFIX} `),
        ["user", "add", "agent:secret"],
        ["user", "grant-role", "agent", "agents"],
        ["user", "add", "stranger:secret"],
        ["auth", "enable"],
      ];
      for (const step of steps) await cluster.ctl(step);
      const open = async (name?: string, password = "") => {
        const passwordPath = join(dir, `password${stores.length}`);
        await Deno.writeTextFile(passwordPath, `${password}\n`);
        const store = await openEtcd({
          endpoints: cluster.endpoints,
          prefix: PREFIX,
          timeoutMs: 20_000,
          ...name === undefined ? {} : { user: { name, passwordPath } },
        });
        stores.push(store);
        return store;
      };
      try {
        await body(cluster, open);
      } finally {
        await Promise.all(stores.map((store) => store.close()));
      }
    }));
}

testAuth(
  "openEtcd() sends its user, and reports a refusal",
  async (_, open) => {
    const store = await open("agent", "secret");
    const watch = new WatchReader(store, []);
    await watch.next();
    const version = await put(store, ["a"], 1);
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["a"], value: 1, version }],
    });
    watch.abort();

    const wrong = await open("agent", "wrong");
    await assert.rejects(() => wrong.get(["a"]), {
      ...REFUSED,
      message:
        /: it refuses the user or the password; look at --store-user and --store-password-file$/,
    });
    assert.doesNotMatch(JSON.stringify([...wrong.problems]), /wrong/);
    const nobody = await open();
    await assert.rejects(() => put(nobody, ["a"], 1), {
      ...REFUSED,
      message: /: it wants a user; give one with --store-user/,
    });
    const stranger = await open("stranger", "secret");
    await assert.rejects(() => put(stranger, ["a"], 1), {
      ...REFUSED,
      message:
        /: the user may not read and write the keys of this store; grant a role/,
    });
    await assert.rejects(async () => {
      const { signal } = new AbortController();
      for await (const _ of stranger.watch([], { signal }));
    }, REFUSED);
    assert.equal((await store.get(["a"]))?.value, 1);
  },
);

testAuth(
  "a token that etcd has forgotten is renewed",
  async (cluster, open) => {
    const store = await open("agent", "secret");
    await put(store, ["a"], 1);
    const watch = new WatchReader(store, []);
    await watch.next();
    // It forgets them all, and connections stay.
    await cluster.ctl(["--user=root:root", "auth", "disable"]);
    await cluster.ctl(["auth", "enable"]);
    const version = await put(store, ["a"], 2);
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["a"], value: 2, version }],
    });
  },
);

Deno.test("openEtcd() goes on without a token where etcd asks for none", async () => {
  await using cluster = await startEtcd();
  await withTempDir(async (dir) => {
    const passwordPath = join(dir, "password");
    await Deno.writeTextFile(passwordPath, "secret");
    const store = await openEtcd({
      endpoints: cluster.endpoints,
      prefix: PREFIX,
      user: { name: "agent", passwordPath },
    });
    await put(store, ["a"], 1);
    await store.close();
  });
});

Deno.test("openEtcd() speaks TLS with a certificate, and says what is wrong with it", async (t) => {
  await withTempDir(async (dir) => {
    const [tls, others] = await Promise.all([
      createCertificates(join(dir, "ours")),
      createCertificates(join(dir, "others")),
    ]);
    await using cluster = await startEtcd({ tls });
    const port = cluster.endpoints[0]!.split(":")[1];
    const open = (
      paths: Parameters<typeof openEtcd>[0]["tls"],
      host = "127.0.0.1",
      timeoutMs = 20_000,
    ) =>
      openEtcd({
        endpoints: [`${host}:${port}`],
        prefix: PREFIX,
        timeoutMs,
        ...paths ? { tls: paths } : {},
      });
    const { caPath, certPath, keyPath } = tls;
    const store = await open(tls);
    await put(store, ["a"], 1);
    assert.match(store.url, /^etcds:\/\/127\.0\.0\.1:\d+\/access$/);
    await store.close();

    const rows: [string, Parameters<typeof open>, RegExp][] = [
      [
        "another authority",
        [{ certPath, keyPath, caPath: others.caPath }],
        /not signed by the authority/,
      ],
      [
        "public authorities",
        [{ certPath, keyPath }],
        /not signed by the authority/,
      ],
      [
        "no certificate",
        [{ caPath }],
        /wants another certificate of the client/,
      ],
      [
        "another's certificate",
        [{ ...others, caPath }],
        /wants another certificate of the client/,
      ],
      [
        "another name",
        [tls, "localhost"],
        /its certificate is for other names/,
      ],
      [
        "plain text",
        [undefined, "127.0.0.1", MIXED_UP_MS],
        /if it speaks TLS, write "etcds:\/\/" in --store/,
      ],
    ];
    for (const [name, args, message] of rows) {
      await t.step(name, async () => {
        const wrong = await open(...args);
        await assert.rejects(() => put(wrong, ["a"], 2), {
          name: "NetError",
          message,
        });
        await wrong.close();
      });
    }
    await using plain = await startEtcd();
    await t.step("TLS where it is not spoken", async () => {
      const wrong = await openEtcd({
        endpoints: plain.endpoints,
        prefix: PREFIX,
        timeoutMs: MIXED_UP_MS,
        tls,
      });
      await assert.rejects(() => put(wrong, ["a"], 2), {
        name: "NetError",
        message: /if it speaks plain text, write "etcd:\/\/" in --store/,
      });
      await wrong.close();
    });
  });
});

Deno.test("openEtcd() refuses files that it cannot read", async () => {
  const options = { endpoints: ["127.0.0.1:1"], prefix: PREFIX };
  const path = "/nowhere/file";
  const message = `Cannot read "${path}": there is no such file`;
  await assert.rejects(
    () => openEtcd({ ...options, tls: { caPath: path } }),
    { ...REFUSED, message },
  );
  await assert.rejects(
    () => openEtcd({ ...options, user: { name: "a", passwordPath: path } }),
    { ...REFUSED, message },
  );
});
