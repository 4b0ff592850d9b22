import assert from "node:assert/strict";
import {
  assertFix,
  isLike,
  type PrintedCheck,
  sentenceOf,
} from "../lab/faults/fault.ts";
import { MEMBER_FAULTS } from "../lab/faults/member_faults.ts";
import { Lab, tokenPath } from "../lab/lab.ts";
import { LabClock } from "../lab/lab_clock.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { callSocket } from "../support/call_socket.ts";
import { run } from "../support/run.ts";
import { waitFor } from "../support/wait_for.ts";

/** Time for a loaded machine, in ms. */
const PATIENCE = { timeoutMs: 60_000, everyMs: 200 };

interface End {
  readonly host: LabHost;
  /** The node to check the path to. */
  readonly peer?: string;
}

/** What is wrong, as `doctor --json` prints it. */
async function print({ host, peer }: End): Promise<readonly PrintedCheck[]> {
  const words = ["doctor", ...peer === undefined ? [] : [peer], "--json"];
  const { stdout } = await host.exec("stellar-net", words);
  const { checks } = JSON.parse(stdout) as { checks: readonly PrintedCheck[] };
  return checks.filter(({ status }) => status !== "ok");
}

/** Waits until both ends say what the table says. @returns the command of the first */
async function watch(
  fault: keyof typeof MEMBER_FAULTS,
  { here, there }: { readonly here: End; readonly there: End },
): Promise<string | null> {
  const words = MEMBER_FAULTS[fault];
  let own: readonly PrintedCheck[] = [];
  const saidBy = async (end: End, sentence: string) => {
    const printed = await print(end);
    if (end === here) own = printed;
    const found = printed.map(sentenceOf);
    const isSaid = sentence === "green"
      ? found.length === 0
      : found.some((text) => isLike(text, sentence));
    if (!isSaid) throw new Error(`${sentence}\n${found.join("\n")}`);
  };
  await waitFor(`doctor to say: ${words.name}`, async () => {
    await Promise.all([saidBy(here, words.here), saidBy(there, words.there)]);
    return true;
  }, PATIENCE);
  for (const check of own) {
    await assertFix(check);
    assert.doesNotMatch(
      check.mend!,
      fault === "fenced" ? /node remove/ : /node remove|node leave --force/,
    );
  }
  const named = own.find((check) => isLike(sentenceOf(check), words.here));
  const command = named?.command ?? null;
  if (!("fix" in words)) assert.equal(command, null);
  else assert.ok(command !== null && isLike(command, words.fix), `${command}`);
  return command;
}

Deno.test("doctor names each fault of a node's membership, at both ends", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 3, secure: true, startAgents: false },
  });
  const [registry, member, third] = lab.hosts as [LabHost, LabHost, LabHost];
  const clock = await LabClock.giveTo(member);
  await registry.agent.start();
  await lab.admit(member);
  await member.agent.start();
  await member.joined();
  const atRegistry = { host: registry, peer: "host2" };
  const atMember = { host: member, peer: "host1" };
  const isGreen = () =>
    waitFor("a green doctor at both ends", async () => {
      const printed = await Promise.all([atRegistry, atMember].map(print));
      const found = printed.flat().map(sentenceOf);
      if (found.length > 0) throw new Error(found.join("\n"));
      return true;
    }, PATIENCE);
  const agent = third.agent;
  const flags = agent.flags;
  const ends = { here: { host: third }, there: { host: registry } };
  const startAnew = (changed: readonly string[]) => {
    agent.flags = changed;
    agent.spawn();
  };
  const giveUp = async () => {
    await agent.kill();
    await Deno.remove(agent.stateDir, { recursive: true });
  };
  await isGreen();

  await t.step("agentDown", async () => {
    await registry.agent.stop();
    await watch("agentDown", { here: { host: registry }, there: atMember });
    await registry.agent.start();
    await isGreen();
  });
  await t.step("registryBlocked", async () => {
    await registry.must("nft", [
      "add table ip fault; add chain ip fault c { type filter hook input priority -5; }; add rule ip fault c tcp dport 9000 drop",
    ]);
    const command = await watch("registryBlocked", {
      ...{ here: atRegistry, there: atMember },
    });
    await registry.must("sh", ["-c", command!]);
    await isGreen();
  });
  await t.step("clock", async () => {
    await clock.moveHours(1);
    await watch("clock", { here: atMember, there: atRegistry });
    await clock.moveHours(-1);
    await isGreen();
  });
  await t.step("clockByDays", async () => {
    await clock.moveHours(48);
    // Existing connections stay.
    await registry.agent.restart();
    await watch("clockByDays", { here: atMember, there: atRegistry });
    await clock.moveHours(-48);
    // Otherwise it looks at connections that it has refused once a minute.
    await member.agent.restart();
    await isGreen();
  });
  await t.step("nameTaken", async () => {
    await lab.admit(third);
    startAnew([...flags, "--node", "host2"]);
    await watch("nameTaken", ends);
    await giveUp();
  });
  await t.step("tokenSpent", async () => {
    await Deno.copyFile(tokenPath(member), tokenPath(third));
    startAnew(flags);
    await watch("tokenSpent", ends);
    await giveUp();
  });
  await t.step("joinTypo", async () => {
    await lab.admit(third);
    startAnew(
      flags.map((word) => word.replace(registry.address, "198.18.0.99")),
    );
    await watch("joinTypo", ends);
    await giveUp();
  });
  await t.step("revoked", async () => {
    await registry.must("stellar-net", ["identity", "revoke", "host2"]);
    await watch("revoked", { here: atMember, there: atRegistry });
    await lab.admit(member, ["--name", "host2"]);
    await isGreen();
  });
  await t.step("diskFull", async () => {
    await lab.admit(third);
    await Deno.mkdir(agent.stateDir);
    await run("mount", [
      ...["-t", "tmpfs", "-o", "size=12m,mode=700", "none", agent.stateDir],
    ]);
    const filler = `${agent.stateDir}/filler`;
    try {
      startAnew(flags);
      await third.joined();
      const { code } = await run("dd", ["if=/dev/zero", `of=${filler}`]);
      assert.notEqual(code, 0);
      await watch("diskFull", {
        here: { host: third, peer: "host1" },
        there: { host: registry, peer: "host3" },
      });
      await Deno.remove(filler);
      await waitFor("a green doctor", async () => {
        return (await print({ host: third, peer: "host1" })).length === 0;
      }, PATIENCE);
    } finally {
      await agent.kill();
      await run("umount", [agent.stateDir]);
    }
  });
  await t.step("fenced", async () => {
    await registry.must("stellar-net", ["node", "remove", "host3", "--force"]);
    await lab.admit(third);
    startAnew(flags);
    const [subnet] = await third.joined();
    await agent.stop();
    await registry.must("stellar-net", ["node", "remove", "host3", "--force"]);
    await registry.must("stellar-net", [
      ...["subnet", "reserve", subnet!, "--node", "heir"],
    ]);
    await callSocket(registry.agent.socketPath, {
      ...{ call: "RegistryService/ClaimSubnets", body: { node: "heir" } },
    });
    await lab.admit(third, ["--name", "host3"]);
    await agent.start();
    await watch("fenced", ends);
    await third.must("stellar-net", ["node", "leave", "--force"]);
    await agent.restart();
    await waitFor("a green doctor", async () => {
      return (await print({ host: third, peer: "host1" })).length === 0;
    }, PATIENCE);
  });
});
