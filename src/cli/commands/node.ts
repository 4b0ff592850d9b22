import { timestampDate } from "@bufbuild/protobuf/wkt";
import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import type { CommandSpec, GroupSpec } from "../framework/call.ts";
import type { AgentClients, HostSummary, Node } from "../framework/client.ts";
import { destructiveFlag, type Operand } from "../framework/flag.ts";
import {
  age,
  createListing,
  listCommand,
  readPages,
} from "../framework/list.ts";
import { CLIENT_FLAGS, JSON_OUTPUT, SOCKET } from "../framework/target.ts";
import { formatUtc } from "../framework/text.ts";
import { type View, viewOf } from "../framework/view.ts";
import { OFFLINE_STATE, readStateDir } from "./agent.ts";
import {
  formatRoutes,
  formatUsed,
  type HostReport,
  readHosts,
} from "./host_report.ts";
import type { TokenView } from "./token.ts";

const NAME: Operand<string> = {
  name: "NAME",
  description: "name of the node",
  completion: "node",
  parse: parseNodeName,
};

const FORCE = destructiveFlag("force", "remove it even if it is alive");

const FORCE_LEAVE = destructiveFlag(
  "force",
  "leave even while containers hold addresses, or the registry is unreachable",
);

type NodeView = View<Node>;

const LIST = listCommand({
  name: "list",
  summary: "List the nodes of the cluster and their states",
  action: "list nodes",
  examples: ["stellar-net node list", "stellar-net node list --json"],
  read: async (call) => {
    const clients = call.clients();
    let asOf: string | undefined;
    const nodes = await readPages(async (pageToken) => {
      const page = await clients.registry.listNodes({ pageToken });
      asOf = page.asOf && timestampDate(page.asOf).toISOString();
      return [page.nodes.map(viewOf), page.nextPageToken];
    });
    const { lost, faults } = await readMembership(clients);
    // Without the registry nobody has the reports, and asking takes long.
    const reports = lost ? new Map() : await readReports(clients);
    const rows = nodes.map((node) => ({
      ...node,
      report: reports.get(node.name)?.report ?? null,
      reportedAt: reports.get(node.name)?.reportedAt ?? null,
    }));
    return createListing({
      body: { nodes: rows, staleSince: lost?.since ?? null },
      columns: {
        NODE: ({ name }) => name,
        STATE: ({ state, name }) =>
          lost && name !== lost.node ? lastKnown(state) : state,
        SUBNETS: ({ subnets }) => subnets.join(" "),
        ADVERTISED: ({ advertised }) => advertised.join(" "),
        USED: ({ report }) => report ? formatUsed(report) : "",
        ROUTES: ({ report }) => report ? formatRoutes(report) : "",
        VERSION: ({ report }) => report?.version ?? "",
        PROBLEMS: countProblems,
        JOINED: ({ joinedAt }) => age(joinedAt),
        SEEN: ({ seenAt }) => age(seenAt),
      },
      wide: {
        API: ({ apiUrl }) => apiUrl ?? "",
        REPORT: ({ reportedAt }) => age(reportedAt),
      },
      rows,
      notes: [
        nodes.length === 0 && "No node is known yet",
        ...nodes.flatMap(({ name, problem }) =>
          problem ? [`${name}: ${problem}`] : []
        ),
        ...faults,
        lost !== undefined &&
        `This is the list as of ${
          formatAsOf(asOf ?? lost.since)
        }: the link to the registry is ${lost.state}${
          faults.length > 0 || lost.problem === null ? "" : `: ${lost.problem}`
        }`,
      ],
    });
  },
});

/** A state that was heard before the registry was lost: who was silent then, or was never heard, may be alive. */
function lastKnown(state: NodeView["state"]): string {
  if (state === "unreachable") return "unknown";
  return state === "ready" ? "was ready" : state;
}

/** The time of a list; the epoch: the agent has not heard the registry since its start. */
function formatAsOf(asOf: string | null): string {
  return asOf !== null && Date.parse(asOf) === 0
    ? "a time before this agent's start"
    : formatUtc(asOf);
}

const LEAVE: CommandSpec = {
  name: "leave",
  summary: "Remove this node from the cluster, and free its subnets",
  action: "leave the cluster",
  flags: [FORCE_LEAVE, ...CLIENT_FLAGS],
  examples: ["stellar-net node leave", "stellar-net node leave --force"],
  run: async (call) => {
    const request = { force: call.value(FORCE_LEAVE) ?? false };
    const clients = call.clients();
    const { lost } = await readMembership(clients);
    const { subnets } = await clients.agent.leave(request);
    call.answer({ subnets }, [formatFreed("Left the cluster", subnets)]);
    if (lost?.state === "unreachable" && subnets.length === 0) {
      call.note(
        `The registry does not know of it, and keeps what this node had there: free it with "stellar-net node remove ${lost.node}" on a host that reaches the registry`,
      );
    }
    call.note("This node joins again when its agent starts again");
  },
};

const REMOVE: CommandSpec = {
  name: "remove",
  summary: "Remove a dead node from the cluster, and free its subnets",
  action: "remove the node",
  operands: [NAME],
  flags: [FORCE, ...CLIENT_FLAGS],
  examples: [
    "stellar-net node remove node3",
    "stellar-net node remove node3 --force",
  ],
  run: async (call) => {
    const node = call.operand(NAME);
    const request = { node, force: call.value(FORCE) ?? false };
    const clients = call.clients();
    const { subnets } = await clients.registry.removeNode(request);
    call.answer({ removed: node, subnets }, [
      formatFreed(`Removed ${node}`, subnets),
    ]);
    for (const { id, maxUses, used } of await tokensOf(clients, node)) {
      call.note(
        `It joined with token ${id}, which admits ${
          maxUses - used
        } more, under any name: stellar-net token revoke ${id}`,
      );
    }
  },
};

const ACCEPT: CommandSpec = {
  name: "accept",
  summary:
    "Let the stopped agent host the registry with a state that was made on another machine",
  action: "accept the state",
  flags: [OFFLINE_STATE, SOCKET, JSON_OUTPUT],
  examples: ["stellar-net node accept"],
  run: async (call) => {
    const stateDir = await readStateDir(call);
    await call.io.accept({ stateDir });
    call.answer({ stateDir }, [
      `The state in ${stateDir} is of this machine now`,
    ]);
    call.note(
      "Make sure that the agent on the other machine never starts again: delete its state. Two registries would give out the same subnets",
    );
  },
};

export const NODE: GroupSpec = {
  name: "node",
  summary:
    "List the nodes of the cluster, leave it, remove dead nodes, replace a machine",
  commands: [LIST, LEAVE, REMOVE, ACCEPT],
};

/** The reports of the hosts by node; none if the agent may not or cannot answer. */
async function readReports(
  clients: AgentClients,
): Promise<ReadonlyMap<string, View<HostSummary>>> {
  try {
    return await readHosts(clients);
  } catch (error) {
    if (error instanceof NetError) return new Map();
    throw error;
  }
}

/** The number of problems that a host reports, and the registry with it; empty where neither is known. */
function countProblems(
  { problem, report }: NodeView & { readonly report: HostReport | null },
): string {
  const own = problem === null ? 0 : 1;
  if (!report) return own === 0 ? "" : String(own);
  return String(report.problems.length + own);
}

/** The faults of a node's membership, as `status` names them. */
const MEMBERSHIP_FAULTS: readonly string[] = [
  "registry-unreachable",
  "migrating",
  "restore-grace",
  "cloned",
  "refused",
  "fenced",
  "left",
];

/**
 * What is wrong with the membership of the agent that answers, with the way
 * out, and why and since when it knows only an old state of the cluster;
 * `lost` is undefined where that is up to date.
 */
async function readMembership({ agent }: AgentClients) {
  try {
    const { node, registry, problems } = viewOf(await agent.getStatus({}));
    const isCurrent = registry === null ||
      ["hosted", "joined", "unspecified"].includes(registry.state);
    return {
      lost: isCurrent ? undefined : { node, ...registry },
      faults: problems.flatMap(({ code, text }) =>
        MEMBERSHIP_FAULTS.includes(code) ? [`${node}: ${text}`] : []
      ),
    };
  } catch (error) {
    // Not every caller may read the status.
    if (error instanceof NetError) return { lost: undefined, faults: [] };
    throw error;
  }
}

/** The tokens that a node joined with and could use again. None where the agent does not tell. */
async function tokensOf(
  { identity }: AgentClients,
  node: string,
): Promise<TokenView[]> {
  try {
    const tokens = await readPages(async (pageToken) => {
      const page = await identity.listTokens({ pageToken });
      return [page.tokens.map(viewOf), page.nextPageToken];
    });
    return tokens.filter(({ state, name, uses }) =>
      state === "usable" && name === null &&
      uses.some((use) => use.name === node)
    );
  } catch (error) {
    if (error instanceof NetError) return [];
    throw error;
  }
}

function formatFreed(done: string, subnets: readonly string[]): string {
  return subnets.length === 0
    ? done
    : `${done}: ${subnets.join(" and ")} can be handed out again`;
}
