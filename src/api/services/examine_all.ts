import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { asCompleted } from "../../base/as_completed.ts";
import { cleanText } from "../../cluster/plan/accept_report.ts";
import type { Doctor } from "../../doctor/doctor.ts";
import {
  AgentService,
  type Check,
  CheckSchema,
  type ExamineAllResponseSchema,
} from "../../gen/stellar/net/v1/agent_pb.ts";
import type { ContactWait } from "../../member/first_contact.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import { type Peers, whyNotCalled } from "../client/peers.ts";
import { fromConnectError } from "../messages/errors.ts";
import { checkMessage } from "../messages/host.ts";

type Message = MessageInitShape<typeof ExamineAllResponseSchema>;

/** Time for the checks of one host, in ms: probes of silent peers come in turn. */
const HOST_TIMEOUT_MS = 25_000;
/** Hosts that are examined at once. */
const HOSTS_AT_ONCE = 16;
/** Checks of one host that count. */
const MAX_CHECKS = 200;
const MAX_TEXT = 1_024;

/** Parts that the examination of all hosts works with. */
export interface ExamineAllOptions {
  /** Name of this agent's node. */
  readonly self: string;
  readonly doctor: Pick<Doctor, "examine">;
  readonly peers: Pick<Peers, "at">;
  readonly nodes: readonly ClusterNode[];
  readonly wait: ContactWait;
  readonly signal: AbortSignal;
}

/** Makes all hosts examine themselves, some at once, and passes on what each has found. */
export async function* examineAll(
  options: ExamineAllOptions,
): AsyncGenerator<Message> {
  const { nodes, signal } = options;
  const hosts = nodes.filter(({ state }) => state !== "no agent");
  const work = (node: ClusterNode) => examineOne(options, node);
  const found = asCompleted(hosts, work, { atOnce: HOSTS_AT_ONCE, signal });
  for await (const message of found) yield { ...message, hosts: hosts.length };
}

async function examineOne(
  { self, doctor, peers, wait, signal }: ExamineAllOptions,
  host: ClusterNode,
): Promise<Message> {
  const { name: node } = host;
  try {
    if (node === self) {
      const checks = await doctor.examine(undefined, wait);
      return { node, checks: checks.map(checkMessage) };
    }
    const problem = whyNotCalled(host);
    if (problem !== undefined) return { node, problem };
    const { checks } = await createClient(AgentService, peers.at(host.apiUrl))
      .examine({}, { signal, timeoutMs: HOST_TIMEOUT_MS });
    return { node, checks: checks.slice(0, MAX_CHECKS).map(acceptCheck) };
  } catch (error) {
    return { node, problem: fromConnectError(error).message };
  }
}

/**
 * Accepts a check that another host has made: short texts on one line, and no command with hidden characters.
 */
function acceptCheck(check: Check): Check {
  const { name, status, found, means, mend, command, harm } = check;
  const clean = (text: string) => cleanText(text, MAX_TEXT);
  const isWhole = clean(command) === command && clean(mend) === mend;
  return create(CheckSchema, {
    ...{ name: cleanText(name, 64), status },
    ...{ found: clean(found), means: clean(means), harm: clean(harm) },
    mend: clean(mend),
    command: isWhole ? command : "",
  });
}
