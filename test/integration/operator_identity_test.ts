import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run, type RunResult } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

const PORT = 9000;
/** The agent that hosts the registry, and one that has joined it. */
const HOSTING = `https://198.18.0.1:${PORT}`;
const JOINED = `https://198.18.0.2:${PORT}`;
const NETWORK = "ip link set lo up\n" +
  "ip address add 198.18.0.1/32 dev lo\nip address add 198.18.0.2/32 dev lo";

/** Runs the command line beside the agents. */
function cli(
  namespace: Namespace,
  args: readonly string[],
): Promise<RunResult> {
  const [command, ...words] = namespace.within;
  const line = [...words, Deno.execPath(), ...FROM_SOURCE, ...args];
  return run(command!, line, { cwd: ROOT });
}

function flags(host: number): string[] {
  const address = `198.18.0.${host}`;
  return ["--listen", `${address}:${PORT}`, "--advertise", address];
}

/** A cluster of two hosts, and a command line that has to succeed. */
interface Cluster {
  readonly dir: string;
  readonly first: SpawnedAgent;
  readonly second: SpawnedAgent;
  cli(...args: readonly string[]): Promise<RunResult>;
  must(...args: readonly string[]): Promise<string>;
}

function withCluster(use: (cluster: Cluster) => Promise<void>): Promise<void> {
  return withTempDir(async (dir) => {
    await using namespace = await createNamespace("net", NETWORK);
    const { within } = namespace;
    const runCli = (...args: readonly string[]) => cli(namespace, args);
    const must = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runCli(...args);
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    await using first = await spawnAgent({ within, args: flags(1) });
    const token = `${dir}/token`;
    const socket = ["--socket", first.socketPath];
    await must(...socket, "token", "create", "--file", token);
    await using second = await spawnAgent({
      within,
      node: "node2",
      args: [...flags(2), "--join", HOSTING, "--token-file", token],
    });
    await use({ dir, first, second, cli: runCli, must });
  });
}

Deno.test("an operator works across nodes with an identity of their own", (t) =>
  withCluster(async ({ dir, first, second, cli, must }) => {
    const socket = ["--socket", first.socketPath];
    const create = (name: string, role: string) =>
      must(
        ...socket,
        ...["token", "create", "--role", role, "--name", name],
        ...["--file", `${dir}/${name}.token`],
      );
    const enrol = (name: string) =>
      cli(
        ...["identity", "create", `${dir}/${name}`, "--name", name],
        ...["--join", HOSTING, "--token-file", `${dir}/${name}.token`],
      );
    const as = (name: string) => ["--identity", `${dir}/${name}`];

    await t.step("is admitted by a token, once", async () => {
      await create("alice", "operator");
      const { code, stdout, stderr } = await enrol("alice");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Role +operator\n +Name +alice\n/);
      const folder = `${dir}/alice`;
      for await (const { name } of Deno.readDir(folder)) {
        const { mode } = await Deno.stat(`${folder}/${name}`);
        assert.equal(mode! & 0o777, 0o600, name);
      }
      const again = await cli(
        ...["identity", "create", `${dir}/other`, "--name", "alice"],
        ...["--join", HOSTING, "--token-file", `${dir}/alice.token`],
      );
      assert.equal(again.code, 1);
      assert.match(
        again.stderr,
        /Cannot join with this token: it was good for/,
      );
    });

    await t.step("sees and changes the state", async () => {
      const nodes = await must(...as("alice"), "node", "list");
      assert.match(nodes, /node1 .*\nnode2 /);
      await must(...as("alice"), "subnet", "reserve", "172.16.12.0/22");
    });

    await t.step("gets the agent that answers, and asks there", async () => {
      const at = [...as("alice"), "--url", JOINED];
      await must(...at, "subnet", "reserve", "172.16.16.0/22");
      await must(...at, "node", "list");
      const audit = await must(...as("alice"), "audit", "--json");
      const [latest] = JSON.parse(audit).records;
      // The node in between has asked for nothing in its own name.
      assert.deepEqual(latest, {
        ...latest,
        caller: "operator alice",
        from: "198.18.0.1",
        call: "ReserveSubnet",
        subject: "172.16.16.0/22",
        outcome: "ok",
      });
    });

    await t.step("has its identity renewed", async () => {
      const before = await must("identity", "show", `${dir}/alice`);
      const after = await must("identity", "renew", `${dir}/alice`);
      const serial = (text: string) => /Serial +(\w+)/.exec(text)![1];
      assert.notEqual(serial(after), serial(before));
      await must(...as("alice"), "status");
    });

    await t.step("may look and no more as readonly", async () => {
      await create("bob", "readonly");
      assert.equal((await enrol("bob")).code, 0);
      await must(...as("bob"), "node", "list");
      const args = ["subnet", "reserve", "172.16.20.0/22"];
      const refused = await cli(...as("bob"), ...args);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /Cannot call ReserveSubnet: readonly "bob"/);
      const failed = await must(...as("alice"), "audit", "--failed");
      assert.match(failed, /readonly bob .* ReserveSubnet .*permission_denied/);
    });

    await t.step("is out once it is revoked", async () => {
      const args = ["identity", "revoke", "bob", "--role", "readonly"];
      await must(...as("alice"), ...args);
      const refused = await cli(...as("bob"), "node", "list");
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /revoked/);
    });

    await t.step("hears of the next authority when it is used", async () => {
      await must(...as("alice"), "identity", "rotate", "--announce", "1s");
      await must(...as("alice"), "node", "list");
      const trust = await Deno.readTextFile(`${dir}/alice/trust.json`);
      assert.match(trust, /"generation": 2/);
      await must(...as("alice"), "--url", JOINED, "node", "list");
    });

    await t.step("leaves no secret in a log", () => {
      for (const log of [first.stderr, second.stderr]) {
        assert.doesNotMatch(log, /stn1\.|PRIVATE KEY/);
      }
    });
  }));
