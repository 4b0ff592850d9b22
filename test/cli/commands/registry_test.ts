import assert from "node:assert/strict";
import { runFake } from "../fake_io.ts";

Deno.test("registry rebuild only reports without --yes, and says what to do next", async () => {
  const run = await runFake(["registry", "rebuild", "--state", "/s"]);
  assert.deepEqual([run.code, run.rebuilds], [
    0,
    [{
      ...{ stateDir: "/s", reports: [], store: "file" },
      ...{ settleMs: 60_000, dryRun: true },
    }],
  ]);
  assert.match(
    run.stdout,
    /^The registry can be rebuilt in kv:\/s\/state\.db:\n.*cluster-1/,
  );
  assert.match(run.stdout, /node2 +172\.16\.4\.0\/22/);
  assert.match(run.stderr, /Conflict: 172\.16\.4\.0\/22 is node2's .* node3's/);
  assert.match(run.stderr, /nodes without an agent are lost: api/);
  assert.match(
    run.stderr,
    /never starts again, then run the command with --yes/,
  );
});

Deno.test("registry rebuild --yes rebuilds it", async () => {
  const args = ["registry", "rebuild", "--state", "/s", "--yes", "--json"];
  const reports = ["/b", "/c"];
  for (const file of reports) args.push("--report", file);
  const run = await runFake([...args, "--settle", "10m"]);
  assert.deepEqual([run.code, run.rebuilds], [
    0,
    [{
      ...{ stateDir: "/s", reports, store: "file" },
      ...{ settleMs: 600_000, dryRun: false },
    }],
  ]);
  const { dryRun, node, nodes, conflicts } = JSON.parse(run.stdout);
  assert.deepEqual([dryRun, node, nodes[0].subnets, conflicts[0].subnet], [
    ...[false, "node2", ["172.16.4.0/22"], "172.16.4.0/22"],
  ]);
  assert.match(run.stderr, /Start the agent without --join/);
});

Deno.test("registry rebuild --store rebuilds it in etcd", async () => {
  const store = ["--store", "etcds://h1:2379/lab", "--store-ca", "/ca.pem"];
  const args = ["registry", "rebuild", "--state", "/s", "--yes", ...store];
  const run = await runFake(args);
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual(run.rebuilds[0]!.store, {
    ...{ kind: "etcd", endpoints: ["h1:2379"], prefix: "/lab" },
    tls: { caPath: "/ca.pem", certPath: undefined, keyPath: undefined },
  });
  assert.match(run.stdout, /^Rebuilt the registry in etcd:\/\/h1:2379\/lab:/);
  assert.match(
    run.stderr,
    /Start the agent with --store etcd:\/\/h1:2379\/lab and without --join/,
  );
  const volatile = await runFake([
    ...["registry", "rebuild", "--store", "kv::memory:"],
  ]);
  assert.match(volatile.stderr, /is lost when the agent stops/);
});
