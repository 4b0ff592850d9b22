import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { Lab } from "../lab/lab.ts";
import { testClusterReach } from "../suite/cluster_reach_suite.ts";
import { builtProgram } from "../support/built_program.ts";

testClusterReach(
  " that has an executable alone",
  async () => ({ executable: (await builtProgram()).path }),
);

Deno.test("hosts that have an executable alone have neither a runtime nor the sources", async () => {
  const { path } = await builtProgram();
  await using lab = await Lab.create({ hosts: 1, executable: path });
  const host = lab.host(1);
  const shown = await host.must("sh", [
    ...["-c", 'command -v deno node npm; ls -A "$0"; cat "$1"'],
    ...[ROOT, Deno.execPath()],
  ]);
  assert.equal(shown, "");
  const maps = await Deno.readTextFile(`/proc/${host.agent.pid}/maps`);
  assert.ok(!maps.includes(Deno.execPath()), maps);
  assert.ok(!maps.includes(ROOT), maps);
});

Deno.test("hosts that have an executable alone test the path between them", async () => {
  const { path } = await builtProgram();
  await using lab = await Lab.create({ hosts: 2, executable: path });
  for (const host of lab.hosts) await host.addContainer("web");
  const tested = await lab.host(2).must("stellar-net", ["test", "host1"]);
  assert.match(
    tested,
    /^ok {2}host1 {2}IPv4 {2}.* bytes and TCP; [\d.]+ ms\n$/,
  );
});
