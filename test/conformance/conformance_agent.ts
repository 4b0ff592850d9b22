import assert from "node:assert/strict";
import { join } from "node:path";
import { enrolWithin } from "../support/enrol_within.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { run } from "../support/run.ts";
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

/** Waits on each sync of a file for as long as another file says: this kernel has no device that is slow. */
const SLOW_SYNC = `
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static void wait_for_disk(void) {
  long ms = 0;
  FILE *file = fopen(getenv("SYNC_MS_FILE"), "r");
  if (file) {
    if (fscanf(file, "%ld", &ms) != 1) ms = 0;
    fclose(file);
  }
  struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
  nanosleep(&t, 0);
}
int fsync(int fd) { wait_for_disk(); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { wait_for_disk(); return syscall(SYS_fdatasync, fd); }
`;

/** Runs an agent for clients of every kind. */
export async function withConformanceAgent(
  dir: string,
  use: (running: ConformanceAgent) => Promise<void>,
): Promise<void> {
  const library = join(dir, "slow_sync.so");
  const syncFile = join(dir, "sync-ms");
  await Deno.writeTextFile(join(dir, "slow_sync.c"), SLOW_SYNC);
  const { code, stderr } = await run("cc", [
    ...["-shared", "-fPIC", "-o", library, join(dir, "slow_sync.c")],
  ]);
  assert.equal(code, 0, stderr);
  await using namespace = await createNamespace("net", NETWORK);
  await using agent = await spawnAgent({
    within: namespace.within,
    node: NODE,
    args: ["--listen", TLS, "--advertise", ADDRESS],
    env: { LD_PRELOAD: library, SYNC_MS_FILE: syncFile },
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
    slowCommits: (ms) => Deno.writeTextFile(syncFile, `${ms}`),
  });
}
