import { parseNodeName } from "../../base/names.ts";
import type { CommandSpec } from "../framework/call.ts";
import { EXIT } from "../framework/exit.ts";
import { type OptionalOperand, switchFlag } from "../framework/flag.ts";
import { JSON_OUTPUT, TARGET_FLAGS, TIMEOUT } from "../framework/target.ts";
import { formatColumns } from "../framework/text.ts";
import { viewOf } from "../framework/view.ts";

const PEERS: OptionalOperand<string> = {
  name: "PEER...",
  description: "names of nodes to test the paths to",
  completion: "node",
  optional: true,
  parse: parseNodeName,
};

const ALL = switchFlag("all", "test the paths to all other nodes");

/** The result of the test of one peer, as `--json` prints it. */
interface Tested {
  readonly node: string;
  readonly problem: string | null;
  readonly families: readonly FamilyView[];
  readonly limits: readonly string[];
}

interface FamilyView {
  readonly family: number;
  readonly from: string;
  readonly to: string;
  readonly packetBytes: number;
  readonly roundTripMs: number | null;
  readonly triedTcp: boolean;
  readonly problems: readonly string[];
}

export const TEST: CommandSpec = {
  name: "test",
  summary: "Test the paths to other nodes with throw-away network namespaces",
  action: "test the paths",
  operands: [PEERS],
  flags: [ALL, ...TARGET_FLAGS, JSON_OUTPUT, TIMEOUT],
  examples: [
    "stellar-net test node3",
    "stellar-net test node2 node3 --json",
    "stellar-net test --all",
  ],
  run: async (call) => {
    const peers = call.operands(PEERS);
    const isAll = call.value(ALL) ?? false;
    if (isAll === peers.length > 0) {
      throw call.usage(
        isAll ? "PEER and --all exclude each other" : "name a PEER, or --all",
      );
    }
    const tested: Tested[] = [];
    const messages = call.clients().agent.testPaths({ peers }, {
      timeoutMs: 0,
    });
    for await (const message of messages) {
      const { node, problem, families, limits, peers: all } = viewOf(message);
      tested.push({ node, problem, families, limits });
      if (!call.io.isTerminal) continue;
      call.io.stderr(`\r${tested.length} of ${all} peers`);
    }
    if (call.io.isTerminal) call.io.stderr("\r\x1b[K");
    tested.sort((a, b) => a.node < b.node ? -1 : 1);
    call.answer({ peers: tested }, formatColumns(tested.flatMap(formatPeer)));
    for (const limit of new Set(tested.flatMap(({ limits }) => limits))) {
      call.note(`Not like a container: ${limit}; TCP is not tested`);
    }
    const failed = tested.filter(hasFailed).length;
    call.note(`Peers: ${tested.length}, failed: ${failed}`);
    return failed === 0 ? EXIT.done : EXIT.failed;
  },
};

function hasFailed({ problem, families }: Tested): boolean {
  return problem !== null ||
    families.some(({ problems }) => problems.length > 0);
}

function formatPeer({ node, problem, families }: Tested): string[][] {
  if (problem !== null) {
    return [["FAILED", node, "-", `not tested: ${problem}`]];
  }
  return families.flatMap((family) => {
    const name = `IPv${family.family}`;
    if (family.problems.length > 0) {
      return family.problems.map((text) => ["FAILED", node, name, text]);
    }
    const { from, to, packetBytes, roundTripMs, triedTcp } = family;
    return [[
      ...["ok", node, name],
      `${from} to ${to}: small packets, packets of ${packetBytes} bytes` +
      `${triedTcp ? " and TCP" : ""}; ${roundTripMs ?? "?"} ms`,
    ]];
  });
}
