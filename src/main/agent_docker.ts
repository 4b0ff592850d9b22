import { basename, dirname } from "node:path";
import { DockerAddresses } from "../agent/docker_addresses.ts";
import type { DockerFacts } from "../doctor/docker_checks.ts";
import type { Agent } from "../agent/agent.ts";
import {
  bindSocketFile,
  isSocketGone,
  removeSocketFile,
} from "../api/server/unix_socket.ts";
import { startPeriodicTask } from "../base/periodic_task.ts";
import type { AgentConfig, DockerChoice } from "../config/config.ts";
import { IpamDriver } from "../docker/driver.ts";
import { DockerEndpoints } from "../docker/endpoints.ts";
import { DockerEngine } from "../docker/engine.ts";
import { concerns, subnetsForDocker } from "../docker/plan/order.ts";
import { PluginServer } from "../docker/server.ts";
import { BridgeNeighbours } from "../host/bridge_neighbours.ts";
import { LinuxPathProbe } from "../host/linux_path_probe.ts";
import { DenoCommandRunner } from "../system/deno_command.ts";
import { checkPrivateFolder } from "../system/trusted_path.ts";

/** The flag that names the socket. */
const FLAG = "--docker-plugin";
/** Interval between checks that nobody has removed the socket's file, in ms. */
const SOCKET_INTERVAL_MS = 5_000;
/** Docker lists an endpoint moments after it asked for the address. */
const SETTLE_MS = 30_000;
const uptimeMs = performance.now.bind(performance);

/** An agent's IPAM driver for Docker. */
export interface AgentDocker extends Pick<DockerEndpoints, "presenceOf"> {
  /** Sentences for the operator. */
  readonly warnings: readonly string[];
  /** Begins to serve. @throws {NetError} when it cannot make the socket */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** For the doctor; undefined where the agent may not ask Docker. */
  readonly facts: (() => Promise<DockerFacts>) | undefined;
}

/**
 * Makes the folder of the driver's socket, for root alone.
 *
 * @throws {NetError} `failed_precondition` when others may write there: they
 * could serve Docker in place of the agent
 */
export function makePluginFolder({ pluginPath }: DockerChoice): void {
  const dir = dirname(pluginPath);
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  checkPrivateFolder(dir, [basename(pluginPath)], `the folder "${dir}"`);
}

/** Makes the driver; undefined without `--docker`. */
export function createAgentDocker(
  { docker, leakIntervalMs, bridge }: AgentConfig,
  { agent, bootId }: { readonly agent: Agent; readonly bootId: string },
): AgentDocker | undefined {
  if (!docker) return undefined;
  const { pluginPath, apiPath } = docker;
  const runner = new DenoCommandRunner();
  const addresses = new DockerAddresses(
    agent,
    {
      bootId,
      neighbours: new BridgeNeighbours({
        ...{ runner, uptimeMs },
        probe: new LinuxPathProbe({ runner }),
      }),
    },
  );
  const randomId = () => crypto.randomUUID();
  const engine = apiPath === undefined
    ? undefined
    : new DockerEngine(apiPath, basename(pluginPath, ".sock"));
  const endpoints = new DockerEndpoints({
    ...{ addresses, uptimeMs, randomId, list: engine },
    now: Date.now,
    settleMs: SETTLE_MS,
  });
  const server = new PluginServer({
    path: pluginPath,
    bind: async (path, listen) => {
      const file = await bindSocketFile(path, listen, { flag: FLAG });
      return {
        isGone: () => isSocketGone(file),
        remove: () => removeSocketFile(file),
      };
    },
    driver: new IpamDriver({
      ...{ addresses, randomId },
      isForgotten: (allocation) => endpoints.isForgotten(allocation),
      onChange: (allocation) => endpoints.asked(allocation),
    }),
  });
  const tasks = new AsyncDisposableStack();
  return {
    get warnings() {
      return endpoints.warnings;
    },
    presenceOf: (allocation) => endpoints.presenceOf(allocation),
    facts: engine && (async () => ({
      apiPath: engine.socketPath,
      bridge,
      networks: await engine.select((network) => concerns(network, bridge))
        .catch((error) => ({ problem: String(error?.message ?? error) })),
      subnets: subnetsForDocker(await addresses.subnets()),
      conflicts: endpoints.warnings,
    })),
    async start() {
      await server.start();
      const kept = startPeriodicTask("keep the socket of the Docker driver", {
        intervalMs: SOCKET_INTERVAL_MS,
        run: () => server.restore(),
      });
      tasks.defer(() => kept.stop());
      const looks = startPeriodicTask("compare the addresses with Docker's", {
        intervalMs: leakIntervalMs,
        run: () => endpoints.look(),
      });
      tasks.defer(() => looks.stop());
    },
    async stop() {
      server.stop();
      endpoints.stop();
      await tasks.disposeAsync();
    },
  };
}
