import type { Agent } from "../../src/agent/agent.ts";
import type { AgentOptions } from "../../src/agent/open_member.ts";
import {
  desiredRoutes,
  formatDesiredRoute,
} from "../../src/routes/plan/desired_route.ts";
import { parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { waitFor } from "../support/wait_for.ts";
import { startAgent, type TestAgent } from "../agent/agents.ts";

/** What the host says of itself. */
export const FACTS = {
  advertised: [parseAddress("198.18.0.12")],
  apiUrl: "http://198.18.0.12:9000",
  localPrefixes: [],
};

/** A host that joins a registry: an agent of the node "b". */
export interface JoinedHost {
  readonly test: TestAgent;
  readonly agent: Agent;
  /** Number of times that it told that it has left. */
  readonly lefts: number;
  /** Ends this agent and starts the next with the same state. */
  restart(options?: Partial<AgentOptions>): Promise<Agent>;
}

/** Runs a registry's agent, the ways to it, and a host that joins by them. */
export async function withHost(
  use: (t: {
    readonly registry: TestAgent;
    readonly peers: readonly [FakeRegistryPeer, FakeRegistryPeer];
    readonly host: JoinedHost;
  }) => Promise<void>,
  options: Partial<AgentOptions> = {},
): Promise<void> {
  await using registry = await startAgent(options);
  const peers = [
    new FakeRegistryPeer(registry.agent, { url: "http://x", heartbeatMs: 20 }),
    new FakeRegistryPeer(registry.agent, { url: "http://y", heartbeatMs: 20 }),
  ] as const;
  let lefts = 0;
  await using test = await startAgent({
    ...{ node: "b", peers },
    onLeft: () => lefts++,
  });
  let { agent } = test;
  const begin = async () => {
    await agent.member.report(FACTS);
    agent.member.start(() => {});
  };
  await begin();
  const host: JoinedHost = {
    test,
    get agent() {
      return agent;
    },
    get lefts() {
      return lefts;
    },
    async restart(options = {}) {
      await agent.member.stop();
      agent = await test.restart(options);
      await begin();
      return agent;
    },
  };
  try {
    await use({ registry, peers, host });
  } finally {
    await settle(registry.agent);
    await agent.member.stop();
  }
}

/** Lets the registry tell all that has changed. */
async function settle({ host }: Agent): Promise<void> {
  const end = new AbortController();
  const { nodes: members, registry } = host!;
  const destination = parsePrefix("192.0.2.0/24");
  for await (const { isSnapshot } of members.watch(end.signal)) {
    if (!isSnapshot) break;
    await registry.deleteRoute({ destination, target: undefined });
    const target = parseAddress("198.18.0.99");
    await registry.addRoute({ destination, target });
  }
}

/** Waits until it stands so between an agent and the registry. */
export function becomes(
  agent: Agent,
  state: Agent["member"]["link"]["state"],
): Promise<boolean> {
  return waitFor(
    `a link that is ${state}, not ${JSON.stringify(agent.member.link)}`,
    () => agent.member.link.state === state,
  );
}

/** Waits until an agent knows a node. */
export function knows(agent: Agent, node: string): Promise<boolean> {
  return waitFor(`node ${node}`, () => agent.member.view.nodes.has(node));
}

/** The subnets of an agent's node, as text. */
export function subnets({ member }: Agent): string {
  return member.subnets.map(formatPrefix).join(" ");
}

/** The routes that a host should have, as texts. */
export function routes({ member, node }: Agent): string[] {
  return desiredRoutes(member.view, { node, subnets: member.subnets })
    .map(formatDesiredRoute);
}
