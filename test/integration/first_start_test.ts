import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** All packages that an agent loads. */
const AGENT_PACKAGES = ["@bufbuild/protobuf", "@connectrpc/connect"]
  .concat("@connectrpc/connect-node", "@logtape/logtape", "commander")
  .concat("@opentelemetry/api", "ipaddr.js")
  .concat("prom-client", "tdigest", "bintrees");

/** The folder in which Deno keeps packages, one folder for each registry. */
async function packagesDir(): Promise<string> {
  const { stdout } = await run(Deno.execPath(), ["info", "--json"]);
  const { npmCache } = JSON.parse(stdout) as { npmCache: string };
  const registries = [...Deno.readDirSync(npmCache)];
  assert.equal(registries.length, 1, "one registry is in use");
  return join(npmCache, registries[0]!.name);
}

Deno.test("an agent starts from source with its own packages alone, and without a network", () =>
  withTempDir(async (dir) => {
    const from = await packagesDir();
    const to = from.replace(dirname(dirname(from)), `${dir}/deno`);
    for (const name of AGENT_PACKAGES) {
      await Deno.mkdir(dirname(join(to, name)), { recursive: true });
      const args = ["-r", join(from, name), join(to, name)];
      assert.equal((await run("cp", args)).code, 0, name);
    }
    await using agent = await spawnAgent({
      denoArgs: ["--cached-only"],
      env: { DENO_DIR: `${dir}/deno` },
    });
    const response = await fetch(
      `${agent.url}/stellar.services.network.v1.Network/AllocateIP`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"node":"node1","id":"first"}',
      },
    );
    assert.equal((await response.json()).ip, "172.16.0.2");
    assert.doesNotMatch(agent.stderr, /Download|rror/);
  }));
