import { join } from "node:path";
import { enrolWithin } from "../support/enrol_within.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { createSlowDisk } from "../support/slow_disk.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import type { Plan } from "./plan.ts";
import { NODE } from "./situations.ts";

const ADDRESS = "198.18.0.1";
const TLS = `${ADDRESS}:9000`;
const NETWORK = `ip link set lo up\nip address add ${ADDRESS}/32 dev lo`;

/** An agent in a network namespace, in plain text and over TLS, and its callers' identities. */
export interface ConformanceAgent {
  readonly agent: SpawnedAgent;
  readonly namespace: Namespace;
  /** Where clients call, and what they show. */
  readonly target: Omit<Plan, "situations">;
  /** Makes each commit of the agent take so long, or as long as its disk takes. */
  slowCommits(ms: number): Promise<void>;
}

/** Runs an agent for clients of every kind. */
export async function withConformanceAgent(
  dir: string,
  use: (running: ConformanceAgent) => Promise<void>,
): Promise<void> {
  const stateDir = join(dir, "state");
  const disk = await createSlowDisk(dir, stateDir);
  await using namespace = await createNamespace("net", NETWORK);
  await using agent = await spawnAgent({
    within: namespace.within,
    node: NODE,
    args: ["--listen", TLS, "--advertise", ADDRESS],
    env: disk.env,
    stateDir,
  });
  const { socketPath } = agent;
  const enrol = (role: "operator" | "readonly") =>
    enrolWithin(namespace, { socketPath, url: `https://${TLS}`, role, dir });
  const operator = await enrol("operator");
  const readonly = await enrol("readonly");
  const { caPath } = operator;
  await use({
    agent,
    namespace,
    target: {
      plain: `127.0.0.1:${agent.port}`,
      tls: TLS,
      identities: { operator, readonly, anonymous: { caPath } },
    },
    slowCommits: (ms) => disk.setSyncMs(ms),
  });
}
