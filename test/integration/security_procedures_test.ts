import assert from "node:assert/strict";
import { join } from "node:path";
import { settled } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { asFor, ProcedureRunner, readProcedure } from "../lab/procedure.ts";

const PAGE = "docs/security.md";

Deno.test("docs/security.md: letting in, taking out, rotating, and starting over", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [host1, host2, host3] = lab.hosts as [LabHost, LabHost, LabHost];
  const runner = new ProcedureRunner(lab.hosts);
  const members = new Map<LabHost, readonly string[]>();
  const read = (heading: string) => readProcedure(PAGE, heading);
  const operator = "stellar-net --identity /root/alice node list";
  await Deno.mkdir(join(host1.dir, "root"), { mode: 0o700 });

  await t.step("letting hosts in", async () => {
    await runner.type(host1, "./stellar-net install --listen 198.18.0.11:9000");
    const letIn = await read("Letting a host in");
    for (const host of [host2, host3]) {
      await runner.follow(asFor(letIn, [host2, host]));
    }
    for (const host of lab.hosts) members.set(host, await host.joined());
    await settled(members);
    const listed = await runner.type(host1, "stellar-net token list");
    assert.match(listed.stdout, /host2/);
    assert.match(listed.stdout, /host3/);
  });

  await t.step("operators", async () => {
    const printed = await runner.follow(await read("Operators"));
    assert.match(printed, /^host3 +ready/m);
    const audit = await runner.type(host1, "stellar-net audit");
    assert.match(audit.stdout, /CreateToken .*alice/);
  });

  await t.step("rotating the authority", async () => {
    const printed = await runner.follow(
      await read("Rotating the authority"),
    );
    assert.match(printed, /Created CA 2/);
    await runner.follow([{ where: "host1", line: operator }]);
  });

  await t.step(
    "starting over with an authority that nobody else has",
    async () => {
      const steps = await read("When the authority is lost");
      await runner.follow(steps.slice(0, 1));
      await lab.waitFor("the others to be cut off", async () => {
        const states = await Promise.all(
          [host2, host3].map(async (host) => (await host.status()).registry),
        );
        return states.every(({ state }) => state !== "joined");
      });
      const refused = await runner.type(host1, operator);
      assert.notEqual(refused.code, 0);
      await runner.follow(steps.slice(1), lab.hosts);
      for (const host of [host2, host3]) {
        assert.deepEqual(await host.joined(), members.get(host));
      }
      await settled(members);
      await runner.type(host1, "rm -r /root/alice /root/alice.token");
      const printed = await runner.follow(await read("Operators"));
      assert.match(printed, /^host3 +ready/m);
    },
  );

  await t.step("taking a host out", async () => {
    const printed = await runner.follow(await read("Taking a host out"));
    assert.match(printed, /host2/);
    members.delete(host2);
    await settled(members, [host1, host3]);
    await lab.waitFor("host2 to say that it was removed", async () => {
      const { problem } = (await host2.status()).registry;
      return /revoked/.test(problem ?? "");
    });
  });

  await t.step("losing an operator's identity", async () => {
    const steps = await read("Losing an operator's identity");
    await runner.follow(steps.slice(0, 1));
    const { code, stderr } = await runner.type(host1, operator);
    assert.notEqual(code, 0);
    assert.match(stderr, /revoked/);
    const printed = await runner.follow(steps.slice(1));
    assert.match(printed, /^host3 +ready/m);
    assert.equal((await runner.type(host1, operator)).code, 1);
  });
});
