import assert from "node:assert/strict";
import { certificateIn, identityDir } from "../lab/lab_certificates.ts";
import { LabClock } from "../lab/lab_clock.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { AUTHORITY_LIFETIME_MS } from "../../src/security/pki/profile.ts";
import { valuesOf } from "../support/exposition.ts";

const HOUR_MS = 3_600_000;
/** A node's certificate holds for 24 hours: longer than what is left of the authority. */
const LEFT_HOURS = 20;
const RENEWAL_HOURS = 16;

Deno.test("a cluster whose authority is close to its end admits hosts, says so, and goes over to the next", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 2, secure: true, startAgents: false },
  });
  const [host1, host2] = lab.hosts as [LabHost, LabHost];
  const clocks = [
    await LabClock.giveTo(host1),
    await LabClock.giveTo(host2),
  ] as const;
  const hours = AUTHORITY_LIFETIME_MS / HOUR_MS - LEFT_HOURS;
  await host1.agent.start();
  await host1.joined();
  const clock = { env: clocks[0].env };
  const must = (host: LabHost, ...args: readonly string[]) =>
    host.must("stellar-net", args, clock);
  // It must not be missed while its own certificate has ended.
  for (const each of clocks) await each.moveHours(hours);
  const endsMs = async (host: LabHost) =>
    (await certificateIn(identityDir(host))).notAfterMs;
  const metric = async (host: LabHost, name: string, label: string) => {
    const text = await host.must("curl", [
      ...["--silent", "--unix-socket", host.agent.socketPath],
      "http://localhost/metrics",
    ]);
    return valuesOf(text, `stellar_net_${name}`)[label];
  };

  await t.step(
    "a host joins, with a certificate that ends with the authority",
    async () => {
      await lab.waitFor(
        "the registry's host to renew",
        async () => await endsMs(host1) > clocks[0].nowMs,
      );
      await lab.admit(host2);
      await host2.agent.start();
      await host2.joined();
      const authorityEndsMs = 1000 *
        (await metric(
          host2,
          "certificate_not_after_timestamp_seconds",
          "authority",
        ))!;
      assert.ok(await endsMs(host2) <= authorityEndsMs);
      const leftMs = authorityEndsMs - clocks[1].nowMs;
      assert.ok(leftMs > 0 && leftMs < (LEFT_HOURS + 1) * HOUR_MS, `${leftMs}`);
    },
  );

  await t.step("status says that the authority ends", async () => {
    const { warnings } = await host1.status();
    assert.match(warnings.join("\n"), /authority/);
  });

  await t.step("a rotation takes all over to the next", async () => {
    await must(host1, "identity", "rotate", "--announce", "2s");
    await lab.waitFor("the host to be told", async () => {
      const path = `${identityDir(host2)}/trust.json`;
      const { authorities } = JSON.parse(await Deno.readTextFile(path));
      return authorities.length === 2;
    });
    // Hosts renew when that is due: after two thirds of what is left.
    for (const each of clocks) await each.moveHours(RENEWAL_HOURS);
    for (const host of lab.hosts) {
      await lab.waitFor(`${host.name} to have the next authority`, async () => {
        const { generation } = await certificateIn(identityDir(host));
        return generation === 2;
      }, { everyMs: 500 });
    }
  });

  await t.step("the old one ends, and nothing is missed", async () => {
    const rest = LEFT_HOURS + 1 - RENEWAL_HOURS;
    for (const each of clocks) await each.moveHours(rest);
    await lab.waitFor("the host to be ready", async () => {
      const list = await must(host1, "node", "list");
      return /^host2 +ready/m.test(list);
    }, { everyMs: 500 });
    assert.equal((await host2.status()).registry.state, "joined");
  });
});
