import {
  type AgentCall,
  allocateCall,
  checkReadyCall,
  getAllocationCall,
  parseAllocation,
  releaseCall,
  releaseOthersCall,
  undoCall,
} from "./text/agent_messages.ts";
import type { QueueEntry } from "./text/queue_entry.ts";
import type { Attachment } from "./text/config.ts";
import { type CniCondition, CniError, conditionOf } from "./text/errors.ts";
import type { CniOwner } from "./text/names.ts";
import type { HeldAddress } from "./text/result.ts";
import { type AgentOutcome, callAgent, Deadline } from "./agent_call.ts";
import type { CniIo } from "./io.ts";
import { queueRelease } from "./queue.ts";
import type {
  AddressSource,
  SourceAllocation,
  SourceRequest,
} from "./source.ts";

export interface AgentSourceOptions {
  readonly socketPath: string;
  /** Folder for releases that wait. Undefined: the agent's own. */
  readonly queueDir: string | undefined;
  /** For a whole command. */
  readonly timeoutMs: number;
}

/** Largest part of a command's time that it keeps for its undoing. */
const UNDO_MS = 1_000;
const RELEASE_REASON = "CNI DEL";
const UNDO_REASON = "CNI ADD was not answered in time";

/** The agent of this host, over its unix socket. */
export class AgentSource implements AddressSource {
  readonly #io: CniIo;
  readonly #options: AgentSourceOptions;
  readonly #deadline: Deadline;

  constructor(io: CniIo, options: AgentSourceOptions) {
    this.#io = io;
    this.#options = options;
    this.#deadline = new Deadline(options.timeoutMs, io.uptimeMs);
  }

  async allocate(request: SourceRequest): Promise<SourceAllocation> {
    const { owner, addresses } = request;
    // The agent releases by this id, so that undoing one ADD never frees the
    // addresses of another.
    const id = this.#io.randomId();
    const reserveMs = Math.min(UNDO_MS, this.#options.timeoutMs / 4);
    const call = allocateCall(owner, { ...request, id });
    const outcome = await this.#call(call, { reserveMs });
    const undo = () => this.#undo(owner, id);
    try {
      const answer = answerOf(outcome, {
        what: "allocate an address",
        condition: (code) =>
          code === "invalid_argument" && addresses.length > 0
            ? "address_refused"
            : conditionOf(code),
      });
      return { addresses: parseAllocation(answer), routes: [], undo };
    } catch (error) {
      const isUnclear = ["lost", "garbled", "answered"].includes(outcome.kind);
      if (isUnclear) await undo();
      throw error;
    }
  }

  async release(owner: CniOwner, netns: string): Promise<void> {
    const requestedAtMs = this.#io.now();
    const call = releaseCall(owner, { reason: RELEASE_REASON, netns });
    const outcome = await this.#call(call);
    const isGone = outcome.kind === "refused" && outcome.code === "not_found";
    if (outcome.kind === "answered" || isGone) return;
    const condition = conditionFor(outcome, conditionOf);
    if (condition !== "try_again") throw failure(outcome, "release", condition);
    const found = netns === ""
      ? { kind: "unknown" as const }
      : await this.#io.findNamespace(netns);
    const bootId = await this.#io.bootId();
    this.#queue({ owner, requestedAtMs, netns, found, bootId }, outcome.why);
  }

  async held(owner: CniOwner): Promise<readonly HeldAddress[]> {
    const answer = answerOf(await this.#call(getAllocationCall(owner)), {
      what: "check the addresses",
      condition: (code) =>
        code === "not_found" ? "check_failed" : conditionOf(code),
    });
    return parseAllocation(answer);
  }

  async releaseOthers(
    network: string,
    keep: readonly Attachment[],
  ): Promise<void> {
    answerOf(await this.#call(releaseOthersCall(network, keep)), {
      what: `collect the addresses of network "${network}"`,
      condition: conditionOf,
    });
  }

  async checkReady(): Promise<void> {
    const outcome = await this.#call(checkReadyCall());
    if (outcome.kind === "answered") return;
    throw failure(outcome, "give out addresses", "not_available");
  }

  /**
   * Releases the allocation of the ADD with an id, and queues that when the
   * agent does not answer. Never throws: the agent, too, undoes an ADD whose
   * answer it could not deliver.
   */
  async #undo(owner: CniOwner, id: string): Promise<void> {
    const requestedAtMs = this.#io.now();
    const call = undoCall(owner, { reason: UNDO_REASON, id });
    const outcome = await this.#call(call);
    if (outcome.kind === "answered" || !this.#io.mayQueueUndo) return;
    if (
      outcome.kind === "refused" && conditionOf(outcome.code) !== "try_again"
    ) {
      return;
    }
    try {
      this.#queue({ owner, requestedAtMs, undoes: id }, outcome.why);
    } catch (error) {
      this.#io.stderr(`stellar-net: ${String(error)}\n`);
    }
  }

  #queue(entry: QueueEntry, why: string): void {
    queueRelease(this.#io, entry, { ...this.#options, why });
  }

  #call(
    call: AgentCall,
    options: { readonly reserveMs: number } = { reserveMs: 0 },
  ): Promise<AgentOutcome> {
    return callAgent(this.#io, call, {
      socketPath: this.#options.socketPath,
      timeoutMs: Math.max(
        1,
        Math.floor(this.#deadline.remainingMs - options.reserveMs),
      ),
    });
  }
}

type FailedOutcome = Exclude<AgentOutcome, { readonly kind: "answered" }>;
type Conditions = (rpcCode: string) => CniCondition;

function answerOf(
  outcome: AgentOutcome,
  options: { readonly what: string; readonly condition: Conditions },
) {
  if (outcome.kind === "answered") return outcome.message;
  const { what, condition } = options;
  throw failure(outcome, what, conditionFor(outcome, condition));
}

function conditionFor(
  outcome: FailedOutcome,
  condition: Conditions,
): CniCondition {
  switch (outcome.kind) {
    case "refused":
      return condition(outcome.code);
    case "denied":
      return "refused";
    case "garbled":
      return "io_failure";
    case "unreachable":
    case "lost":
      return "try_again";
  }
}

/** The agent's own message is complete; the others need a start. */
function failure(
  outcome: FailedOutcome,
  what: string,
  condition: CniCondition,
): CniError {
  return new CniError(
    condition,
    outcome.kind === "refused" ? outcome.why : `Cannot ${what}: ${outcome.why}`,
  );
}
