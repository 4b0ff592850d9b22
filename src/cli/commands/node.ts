import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import {
  type AgentClients,
  CLIENT_FLAGS,
  type Token,
  TokenState,
} from "../framework/client.ts";
import { parseSwitch } from "../framework/flags.ts";
import type { CommandSpec, GroupSpec } from "../framework/call.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatTable } from "../framework/table.ts";
import { formatAge } from "../framework/text.ts";
import { viewNode } from "../framework/views.ts";

const NAME: Operand<string> = {
  name: "NAME",
  description: "name of the node",
  parse: parseNodeName,
};

const FORCE: Flag<boolean> = {
  name: "force",
  description: "also when it is alive",
  parse: parseSwitch,
};

const FORCE_LEAVE: Flag<boolean> = {
  ...FORCE,
  description:
    "also while addresses are held, or with the registry out of reach",
};

const LIST: CommandSpec = {
  name: "list",
  summary: "List the nodes that are known, and whether they are alive",
  action: "list nodes",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net node list", "stellar-net node list --json"],
  run: async (call) => {
    const message = await call.clients().registry.listNodes({});
    const nodes = message.nodes.map(viewNode);
    const rows = nodes.map((node) => [
      node.name,
      node.state,
      node.subnets.join(" ") || "-",
      node.advertised.join(" ") || "-",
      formatAge(node.joinedAt, call.io.now()),
      node.seenAt === null ? "-" : formatAge(node.seenAt, call.io.now()),
    ]);
    const header = [
      "NODE",
      "STATE",
      "SUBNETS",
      "ADVERTISED",
      "JOINED",
      "SEEN",
    ];
    call.answer({ nodes }, formatTable(header, rows));
    if (nodes.length === 0) call.note("No node is known yet");
  },
};

const LEAVE: CommandSpec = {
  name: "leave",
  summary: "Take this node out of the cluster, and free its subnets",
  action: "leave the cluster",
  flags: [FORCE_LEAVE, ...CLIENT_FLAGS],
  examples: ["stellar-net node leave", "stellar-net node leave --force"],
  run: async (call) => {
    const request = { force: call.value(FORCE_LEAVE) ?? false };
    const { subnets } = await call.clients().agent.leave(request);
    call.answer({ subnets }, [formatFreed("Left the cluster", subnets)]);
    call.note("This node joins again when its agent is started again");
  },
};

const REMOVE: CommandSpec = {
  name: "remove",
  summary: "Forget a node that is gone, and free its subnets",
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
        `It came in with token ${id}, which lets in ${
          maxUses - used
        } more, under any name: stellar-net token revoke ${id}`,
      );
    }
  },
};

export const NODE: GroupSpec = {
  name: "node",
  summary:
    "List the nodes of the cluster, leave it, remove those that are gone",
  examples: ["stellar-net node list", "stellar-net node remove node3"],
  commands: [LIST, LEAVE, REMOVE],
};

/** The tokens that a node came in with, and could again. None where they cannot be told. */
async function tokensOf(
  { identity }: AgentClients,
  node: string,
): Promise<Token[]> {
  try {
    const { tokens } = await identity.listTokens({});
    return tokens.filter(({ state, name, uses }) =>
      state === TokenState.USABLE && name === "" &&
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
