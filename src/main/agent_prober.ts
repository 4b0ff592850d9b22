import type { Agent } from "../agent/agent.ts";
import type { AgentConfig } from "../config/config.ts";
import type { HostController } from "../host/controller.ts";
import { LinuxPathProbe } from "../host/linux_path_probe.ts";
import { type KnownProbeKeys, ProbeKeyRing } from "../probe/keys.ts";
import { Prober } from "../probe/prober.ts";
import type { ProbeKey } from "../probe/seal.ts";
import { openUdpSocket } from "../probe/udp_socket.ts";
import { DenoCommandRunner } from "../system/deno_command.ts";
import type { AgentState } from "./agent_state.ts";

/** The probes of an agent. */
export interface AgentProbes {
  /** Undefined if the agent does not probe. */
  readonly prober: Prober | undefined;
  /** The keys that the registry hands out; undefined where this agent hosts none. */
  readonly ringKeys: (() => readonly ProbeKey[]) | undefined;
}

/** Makes the prober of an agent, and the keys of a registry. */
export function createAgentProbes(
  config: AgentConfig,
  { agent, controller, state, keys, onChange }: {
    readonly agent: Agent;
    readonly controller: HostController;
    readonly state: AgentState;
    readonly keys: KnownProbeKeys;
    readonly onChange: () => void;
  },
): AgentProbes {
  const uptimeMs = performance.now.bind(performance);
  const now = Date.now;
  // A registry hands out keys even if its own host does not probe.
  const ring = agent.isHost
    ? new ProbeKeyRing({
      store: state.registryStore ?? state.store,
      ...{ now, uptimeMs },
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    })
    : undefined;
  const ringKeys = ring && (() => ring.latest);
  // Without routes of its own, this host has no paths to other containers.
  const isOn = config.probe && controller.routes.mode === "apply";
  if (!isOn) return { prober: undefined, ringKeys };
  const prober = new Prober({
    view: () => {
      const { member, node } = agent;
      const { link, cluster, subnets, view } = member;
      return {
        clusterId: link.state === "left" ? "" : cluster?.clusterId ?? "",
        self: { name: node, subnets, advertised: controller.advertised },
        nodes: view.nodes,
        version: view.nodeChanges,
      };
    },
    links: () => controller.interfaces?.links,
    keys: () => keys.keys,
    ...ring && { refreshKeys: async () => keys.update(await ring.read()) },
    open: openUdpSocket,
    pings: new LinuxPathProbe({ runner: new DenoCommandRunner() }),
    session: crypto.getRandomValues(new BigUint64Array(1))[0]! | 1n,
    ...{ now, uptimeMs, onChange },
  });
  agent.member.view.onNodes = () => prober.update();
  return { prober, ringKeys };
}
