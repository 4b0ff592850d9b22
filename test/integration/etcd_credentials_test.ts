import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { FAST } from "../lab/watched_lab.ts";
import { startEtcd } from "../support/etcd.ts";
import { valuesOf } from "../support/exposition.ts";
import { Prometheus } from "../support/prometheus.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { TestAuthority } from "../support/test_authority.ts";
import { waitFor } from "../support/wait_for.ts";

const NETWORK = "stellar.services.network.v1.Network";
const ROOT_USER = "--user=root:root";

/** Calls an agent's service of Stellar. @returns status and body */
async function call(
  { url }: SpawnedAgent,
  method: string,
  body: unknown,
): Promise<readonly [number, string]> {
  const response = await fetch(`${url}/${NETWORK}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return [response.status, await response.text()];
}

/** Changes the registry through an agent, there and back. @throws {Error} what it said */
async function change(agent: SpawnedAgent): Promise<void> {
  const route = { cidr: "10.60.0.0/16", target: "198.18.0.9" };
  for (const method of ["AddRoute", "DeleteRoute"]) {
    const [status, text] = await call(agent, method, route);
    if (status !== 200) throw new Error(text);
  }
}

Deno.test("agents keep their registry in etcd through changes of password, certificates and authority", (t) =>
  withTempDir(async (dir) => {
    const [old, next] = [
      await TestAuthority.create(dir, "old"),
      await TestAuthority.create(dir, "next"),
    ];
    // What etcd and the agents read stays where it is; its contents change.
    const at = (name: string) => join(dir, name);
    const caPath = at("ca.pem");
    const trust = async (...authorities: readonly TestAuthority[]) => {
      const texts = authorities.map(({ caPath }) => Deno.readTextFile(caPath));
      await Deno.writeTextFile(caPath, (await Promise.all(texts)).join(""));
    };
    await trust(old);
    const server = { ...await old.issue("server"), caPath };
    const client = await old.issue("client", { usage: "clientAuth" });
    const passwordPath = at("password");
    const setPassword = (password: string) =>
      Deno.writeTextFile(passwordPath, `${password}\n`, { mode: 0o600 });
    await setPassword("first");
    await using etcd = await startEtcd({ tls: server });
    await etcd.ctl(["user", "add", "root:root"]);
    await etcd.ctl(["user", "grant-role", "root", "root"]);
    for (const step of await readDocumentedSteps()) await etcd.ctl(step);
    const restartEtcd = async () => {
      await etcd.members[0]!.kill();
      etcd.members[0]!.start();
    };
    const spawn = (node: string) =>
      spawnAgent({
        node,
        args: ["--store", `etcds://${etcd.endpoints[0]}/stellar-net`].concat(
          ["--store-ca", caPath, "--store-cert", client.certPath],
          ["--store-key", client.keyPath, "--store-user", "stellar-net"],
          ["--store-password-file", passwordPath],
        ),
      });
    await using host1 = await spawn("host1");
    await using host2 = await spawn("host2");
    const hosts = [host1, host2];
    const allChange = () =>
      waitFor("changes through both agents", async () => {
        for (const host of hosts) await change(host);
        return true;
      }, { everyMs: 200 });
    await allChange();
    assert.equal((await call(host1, "AllocateIP", allocation("c1")))[0], 200);

    await t.step("the certificates have metrics", async () => {
      const text = await (await fetch(`${host1.url}/metrics`)).text();
      const ends = valuesOf(
        text,
        "stellar_net_certificate_not_after_timestamp_seconds",
      );
      assert.deepEqual(Object.keys(ends).sort(), [
        "etcd",
        "store",
        "store_authority",
      ]);
    });

    await t.step(
      "certificates that end soon have alerts, until they are replaced",
      async () => {
        await using prometheus = await Prometheus.start({
          ...{ dir: at("prometheus"), divisor: FAST },
          targets: { "stellar-net": [`127.0.0.1:${host1.port}`] },
        });
        const alert = (fires: boolean) =>
          prometheus.waitForAlert("StellarNetCertificateExpiring", {
            ...{ instance: `127.0.0.1:${host1.port}`, fires },
          });
        const soon = { days: 1, startedHoursAgo: 23 };
        await old.issue("server", soon);
        await restartEtcd();
        await allChange();
        await alert(true);
        await old.issue("server");
        await restartEtcd();
        await allChange();
        await alert(false);
        await old.issue("client", { ...soon, usage: "clientAuth" });
        await alert(true);
        await old.issue("client", { usage: "clientAuth" });
        await alert(false);
      },
    );

    const isRenewed = await t.step(
      "another password: refused until the file has it",
      async () => {
        for (
          const step of [
            ["user", "delete", "stellar-net"],
            ["user", "add", "stellar-net:second"],
            ["user", "grant-role", "stellar-net", "stellar-net"],
          ]
        ) await etcd.ctl([ROOT_USER, ...step]);
        // On a busy machine, another attempt may end without an answer.
        for (const host of hosts) {
          await waitFor(
            "etcd to refuse",
            () =>
              change(host).then(
                () => false,
                (error) =>
                  /refuses the user or the password/.test(String(error)),
              ),
          );
        }
        // A node's addresses are its own affair.
        assert.equal(
          (await call(host1, "AllocateIP", allocation("c2")))[0],
          200,
        );
        await setPassword("second");
        await allChange();
      },
    );

    // Each step needs the one before it.
    if (!isRenewed) return;
    const steps: readonly (readonly [string, () => Promise<unknown>])[] = [
      [
        "new certificates of the same authority",
        async () => {
          await old.issue("server");
          await old.issue("client", { usage: "clientAuth" });
        },
      ],
      ["both authorities are trusted", () => trust(old, next)],
      [
        "etcd's certificate is of the next authority",
        () => next.issue("server"),
      ],
      [
        "the agents' certificate is of the next authority",
        () => next.issue("client", { usage: "clientAuth" }),
      ],
      ["only the next authority is trusted", () => trust(next)],
    ];
    for (const [name, replace] of steps) {
      const isDone = await t.step(name, async () => {
        await replace();
        await restartEtcd();
        await allChange();
      });
      if (!isDone) return;
    }
    await t.step("and what was held is held", async () => {
      await Promise.all(hosts.map((host) => host.restart()));
      await allChange();
      for (const id of ["c1", "c2"]) {
        const [, text] = await call(host1, "GetIP", { id, node: "host1" });
        assert.match(text, /172\.16\./);
      }
    });
  }));

/** The commands by which docs/etcd.md makes a user, without the question for a password. */
async function readDocumentedSteps(): Promise<string[][]> {
  const page = await Deno.readTextFile(join(ROOT, "docs/etcd.md"));
  const [, block] = /^```sh\n(etcdctl role add [^]*?)^```$/m.exec(page)!;
  return block!.trim().split("\n").map((line) =>
    line.replace(/^etcdctl /, "").replace(/^(user add \S+)/, "$1:first")
      .match(/"[^"]*"|\S+/g)!.map((word) => word.replaceAll('"', ""))
  );
}

function allocation(id: string): unknown {
  return { id, node: "host1" };
}
