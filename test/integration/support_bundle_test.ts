import assert from "node:assert/strict";
import { dirname } from "node:path";
import { createKey } from "../../src/security/pki/key.ts";
import { createToken, formatToken } from "../../src/security/pki/token.ts";
import { run } from "../support/run.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { ROOT } from "../generate.ts";

/** What must not be in a bundle. */
const PLANTED = "pLaNtEd";

/** Makes a bundle, and returns its files by their path in it. */
async function makeBundle(
  dir: string,
  socketPath: string,
): Promise<ReadonlyMap<string, string>> {
  const file = `${dir}/bundle.tar.gz`;
  const args = ["--socket", socketPath, "support-bundle", file];
  const made = await run(Deno.execPath(), [...FROM_SOURCE, ...args], {
    cwd: ROOT,
    timeoutMs: 60_000,
    env: {
      STELLAR_NET_TOKEN: `${PLANTED}-1`,
      STELLAR_NET_STORE: `etcd://root:${PLANTED}-2@h1:2379/x`,
      REGISTRY_PASSWORD: `${PLANTED}-3`,
    },
  });
  assert.equal(made.code, 0, made.stderr);
  assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
  const out = `${dir}/out`;
  await Deno.mkdir(out);
  assert.equal((await run("tar", ["-xzf", file, "-C", out])).code, 0);
  const found = await run("find", [out, "-type", "f"]);
  const paths = found.stdout.trimEnd().split("\n");
  const files = new Map<string, string>();
  for (const path of paths) {
    const [, , ...rest] = path.slice(dir.length + 1).split("/");
    files.set(rest.join("/"), await Deno.readTextFile(path));
  }
  return files;
}

Deno.test("support-bundle packs the facts of agent and host, and no secret", () =>
  withTempDir(async (dir) => {
    await using agent = await spawnAgent({
      // Flags and environment with secrets, and a state with more of them.
      args: ["--advertise", "198.18.0.1"],
      env: { STELLAR_NET_PASSWORD: `${PLANTED}-4` },
    });
    const call = async (name: string, body: unknown) => {
      const response = await fetch(`${agent.url}/stellar.net.v1.${name}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200, await response.text());
    };
    await call("RegistryService/ReserveSubnet", {
      cidr: "172.16.8.0/22",
      reason: `for db, token=${PLANTED}-5`,
    });
    const owner = { containerId: "web-1" };
    await call("IpamService/Allocate", { owner });
    await call("IpamService/Release", {
      owner,
      reason: `Authorization: Bearer ${PLANTED}-6-abcdef`,
    });
    // A token that was made, one in a place for texts, and a key in the state.
    const token = formatToken(createToken(`sha256:${"0".repeat(64)}`));
    await call("RegistryService/ReserveSubnet", {
      cidr: "172.16.12.0/22",
      reason: `joined by ${token}`,
    });
    await call("IdentityService/CreateToken", {});
    const keyPath = `${agent.stateDir}/identity/key.pem`;
    await Deno.mkdir(dirname(keyPath), { recursive: true });
    const key = createKey();
    await Deno.writeTextFile(keyPath, key, { mode: 0o600 });
    const planted = [PLANTED, token.slice(5), ...key.split("\n").slice(1, -2)];
    const files = await makeBundle(dir, agent.socketPath);
    const rows: readonly [path: string, holds: RegExp][] = [
      ["MANIFEST", /^ok {6}agent\/status\.txt$/m],
      ["agent/status.txt", /^Node +node1$/m],
      ["agent/status.json", /"schemaVersion": 1/],
      ["agent/doctor.txt", /^ok +queue: /m],
      ["agent/nodes.txt", /node1/],
      ["agent/subnets.txt", /172\.16\.8\.0\/22 +reserved/],
      ["agent/history.txt", /web-1/],
      ["agent/audit.txt", /CreateToken/],
      ["agent/log.txt", /Serving on/],
      ["environment.txt", /STELLAR_NET_STORE=etcd:\/\/\[redacted\]@h1/],
      ["host/addresses.txt", / lo: /],
      ["host/rules.txt", /lookup main/],
      ["host/conflist.json", /"cniVersion"/],
      ["host/kernel.txt", /Linux version/],
      ["versions/ip.txt", /iproute2/],
      ["versions/stellar-net.txt", /^stellar-net \d/],
    ];
    for (const [path, holds] of rows) assert.match(files.get(path)!, holds);
    for (const [path, text] of files) {
      for (const secret of planted) {
        assert.ok(!text.includes(secret), `${path}: ${text}`);
      }
      assert.doesNotMatch(text, /stn\d\.[\w-]{8}|PRIVATE KEY/, path);
    }
  }));

Deno.test("support-bundle works without an agent, and says what is missing", () =>
  withTempDir(async (dir) => {
    const files = await makeBundle(dir, `${dir}/none.sock`);
    const manifest = files.get("MANIFEST")!;
    assert.match(
      manifest,
      /^FAILED {2}agent\/status\.txt: .*there is no such socket/m,
    );
    assert.match(manifest, /^FAILED {2}agent\/log\.txt: /m);
    assert.match(manifest, /^ok {6}host\/addresses\.txt$/m);
    // Not every host has a network of containers: the reason is not a number.
    assert.match(
      manifest,
      /^(ok {6}host\/cni\.txt$|FAILED {2}host\/cni\.txt: \S*grep: \/etc\/cni\/)/m,
    );
    assert.match(files.get("agent/doctor.txt")!, /^FAILED +agent: /m);
    assert.equal(files.has("agent/status.txt"), false);
    assert.ok(!manifest.includes(PLANTED));
  }));
