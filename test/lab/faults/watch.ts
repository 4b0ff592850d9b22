import assert from "node:assert/strict";
import { allDone } from "../../support/all_done.ts";
import { callSocket } from "../../support/call_socket.ts";
import { waitFor } from "../../support/wait_for.ts";
import type { Lab } from "../lab.ts";
import type { LabHost } from "../lab_host.ts";
import {
  assertFix,
  type Fault,
  type FaultWorld,
  isLike,
  type PrintedCheck,
  sentenceOf,
} from "./fault.ts";

/** Time for a loaded machine, in ms. */
const PATIENCE = { timeoutMs: 60_000 };

/** Adds containers to a lab of two hosts, and waits until they reach each other. */
export async function createWorld(lab: Lab): Promise<FaultWorld> {
  const [peer, host] = lab.hosts as [LabHost, LabHost];
  const remote = await peer.addContainer("remote");
  return await addLocals({ host, peer, remote });
}

/** Adds the containers of the host, and waits until they reach the peer's. */
async function addLocals(
  { host, peer, remote }: Pick<FaultWorld, "host" | "peer" | "remote">,
): Promise<FaultWorld> {
  const container = await host.addContainer("local");
  const shown = await host.must("ip", ["-json", "link", "show"]);
  const veth = (JSON.parse(shown) as { ifname: string; master?: string }[])
    .find(({ master }) => master === "stellar0")!.ifname;
  const second = await host.addContainer("second");
  const world = { host, peer, container, second, remote, veth };
  await waitFor("the first packet", () => reaches(world), PATIENCE);
  return world;
}

/** Whether a packet gets from the container to the peer's container, and back. */
async function reaches({ container, remote }: FaultWorld): Promise<boolean> {
  const { code } = await container.exec("ping", [
    ...["-n", "-c", "1", "-w", "1", remote.address],
  ]);
  return code === 0;
}

/** What is wrong, as `doctor PEER --json` on a host prints it, without a process for it. */
async function examine(
  host: LabHost,
  peer: LabHost,
): Promise<readonly PrintedCheck[]> {
  const { checks } = await callSocket<{
    checks: readonly (
      & Record<"name" | "status" | "found", string>
      & { means?: string; mend?: string; command?: string; harm?: string }
    )[];
  }>(host.agent.socketPath, {
    call: "AgentService/Examine",
    body: { peer: peer.name },
  });
  return checks.filter(({ status }) => status !== "CHECK_STATUS_OK")
    .map(({ name, status, found, ...rest }) => ({
      ...{ name, found, means: null, mend: null, command: null, harm: null },
      ...rest,
      status: status === "CHECK_STATUS_FAILED" ? "failed" : "warning",
    }));
}

/** Waits until packets get through, and `doctor` is green at both ends. */
export async function watchHealth(world: FaultWorld): Promise<void> {
  const { host, peer } = world;
  await waitFor("a packet", () => reaches(world), PATIENCE);
  let found: readonly string[] = [];
  try {
    await waitFor("a green doctor", async () => {
      // Each ends before the next begins: hundreds at once would time out.
      const both = await allDone([
        examine(host, peer),
        examine(peer, host),
      ]);
      found = both.flat().map(sentenceOf);
      return found.length === 0;
    }, { ...PATIENCE, everyMs: 300 });
  } catch (cause) {
    throw new Error(found.join("\n"), { cause });
  }
}

/** Causes what the agent repairs, and waits until all is well. */
export async function watchRepair(
  world: FaultWorld,
  { cause }: { readonly cause: string },
): Promise<void> {
  await world.host.must("sh", ["-c", cause]);
  await watchHealth(world);
}

/**
 * Causes a fault, reads what `doctor` says at both ends, types the command that
 * it gives, and waits until packets get through and `doctor` is green.
 *
 * @returns the world, whose containers may be new ones
 */
export async function watchFault(
  world: FaultWorld,
  fault: Fault,
): Promise<FaultWorld> {
  const { host, peer, container } = world;
  const { cause, isInContainer = false, isHarmless = false, undo } = fault;
  const { isFixedThere = false, isContainerLost = false } = fault;
  const at = isInContainer ? container : host;
  await at.must("sh", ["-c", cause(world)], { env: host.env });
  if (!isHarmless) {
    await waitFor("no packet", async () => !await reaches(world), PATIENCE);
  }
  let printed: readonly PrintedCheck[] = [];
  let told = "";
  try {
    // A report of the other end follows the fault within a moment.
    await waitFor("the words of doctor", async () => {
      const both = isFixedThere
        ? await allDone([examine(host, peer), print(peer, host)])
        : await allDone([print(host, peer), examine(peer, host)]);
      const [here, there] = both.map((checks) => checks.map(sentenceOf));
      told = `here: ${here!.join("\n")}\nthere: ${there!.join("\n")}`;
      printed = both[isFixedThere ? 1 : 0]!;
      for (const check of both.flat()) await assertFix(check);
      return says(here!, fault.here) && says(there!, fault.there);
    }, PATIENCE);
  } catch (cause) {
    throw new Error(told, { cause });
  }
  for (const { mend } of printed) {
    assert.doesNotMatch(mend!, /node remove|node leave --force/);
  }
  const sentence = isFixedThere ? fault.there : fault.here;
  const named = printed.filter((check) => isLike(sentenceOf(check), sentence));
  const commands = [...new Set(named.flatMap(({ command }) => command ?? []))];
  if (fault.fix === undefined) assert.deepEqual(commands, []);
  else {
    const [command] = commands;
    assert.ok(command && isLike(command, fault.fix), JSON.stringify(named));
    await (isFixedThere ? peer : host).must("sh", ["-c", command]);
  }
  if (undo) await host.must("sh", ["-c", undo.line(world)]);
  let after = world;
  if (isContainerLost) {
    for (const label of ["local", "second"]) await host.removeContainer(label);
    after = await addLocals(world);
  }
  await watchHealth(after);
  return after;
}

/** What is wrong, as `doctor PEER --json` prints it on a host. */
async function print(
  host: LabHost,
  peer: LabHost,
): Promise<readonly PrintedCheck[]> {
  const { stdout } = await host.exec("stellar-net", [
    ...["doctor", peer.name, "--json"],
  ]);
  const { checks } = JSON.parse(stdout) as { checks: readonly PrintedCheck[] };
  return checks.filter(({ status }) => status !== "ok");
}

function says(found: readonly string[], sentence: string): boolean {
  return sentence === "green"
    ? found.length === 0
    : found.some((text) => isLike(text, sentence));
}
