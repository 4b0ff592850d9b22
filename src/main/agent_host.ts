import type { Agent } from "../agent/agent.ts";
import type { AgentConfig } from "../config/config.ts";
import type { DockerFacts } from "../doctor/docker_checks.ts";
import { Doctor } from "../doctor/doctor.ts";
import { HostController, resolveRouteMode } from "../host/controller.ts";
import {
  DenoCommandFollower,
  DenoCommandRunner,
} from "../system/deno_command.ts";
import { claimProtocol, hostPrefixes } from "../routes/plan/kernel_route.ts";
import { isLockedInNetns, lockInNetns } from "../system/netns_lock.ts";
import { IpRoutes } from "../routes/ip_routes.ts";
import { LinuxHostNetwork } from "../host/linux_network.ts";
import { LinuxPathProbe } from "../host/linux_path_probe.ts";
import { findUnit } from "../system/sd_notify.ts";
import { statSocket } from "../system/files.ts";
import { LinuxStations } from "../station/linux_stations.ts";
import { Stations } from "../station/stations.ts";
import type { PathView } from "../probe/plan/verdict.ts";
import { askAgent, Peers } from "../api/client/peers.ts";
import type { AgentState } from "./agent_state.ts";
import { ENVIRONMENT } from "./process.ts";
import type { Security } from "./security.ts";

/** The parts that work on the agent's host, and reach the other agents. */
export interface AgentHost {
  readonly controller: HostController;
  readonly peers: Peers;
  readonly doctor: Doctor;
  readonly stations: Stations;
  /** Sentences for the operator. */
  readonly warnings: readonly string[];
}

/** Makes the host controller, the doctor and the clients of peers. */
export async function createAgentHost(
  config: AgentConfig,
  options: {
    readonly agent: Agent;
    readonly state: AgentState;
    readonly security: Security;
    readonly version: string;
    /** The program that serves the namespace of a station. */
    readonly stationProgram: readonly string[];
    readonly paths: () => readonly PathView[] | undefined;
    readonly docker: (() => Promise<DockerFacts>) | undefined;
  },
): Promise<AgentHost> {
  const { agent, state, security, version } = options;
  const { store } = state;
  const runner = new DenoCommandRunner();
  const follower = new DenoCommandFollower();
  const network = new LinuxHostNetwork({ runner, follower });
  const routes = new IpRoutes({ runner, follower });
  const { mode, warning } = await resolveRouteMode(config.routes, network);
  if (mode === "apply") {
    claimProtocol(config.routeProtocol, {
      take: lockInNetns,
      isTaken: isLockedInNetns,
    });
  }
  const controller = new HostController({
    config,
    node: config.node,
    member: agent.member,
    store,
    mode,
    network,
    routes,
    readPrefixes: async (within) => {
      const protocol = config.routeProtocol;
      const state = await routes.read({ protocol, within, exact: [] });
      return hostPrefixes(state, protocol);
    },
    now: Date.now,
    onReached: security.onReached,
  });
  const { connect } = security;
  const peers = new Peers({ agent, connect });
  const probe = new LinuxPathProbe({ runner });
  const stations = new Stations({
    ...{ agent, controller, probe },
    maker: new LinuxStations({
      ...{ runner, probe },
      program: options.stationProgram,
    }),
    randomId: () => crypto.randomUUID(),
  });
  const doctor = new Doctor({
    agent,
    controller,
    store,
    registryStore: state.registryStore,
    probe,
    protocol: config.routeProtocol,
    version,
    statSocket: async () => ({
      ...await statSocket(config.socketPath),
      hasGroup: config.socketGroup !== undefined,
    }),
    unit: await readUnit(),
    paths: options.paths,
    docker: options.docker,
    callPeer: (url) => askAgent(peers.at(url)),
    now: Date.now,
  });
  const warnings = warning ? [warning] : [];
  return { controller, peers, doctor, stations, warnings };
}

/** The unit of systemd that this process runs in. */
async function readUnit(): Promise<string | undefined> {
  try {
    return findUnit(ENVIRONMENT, await Deno.readTextFile("/proc/self/cgroup"));
  } catch {
    // A host without control groups has no units.
    return undefined;
  }
}
