import {
  type AgentAllocation,
  type AgentCall,
  allocateCall,
  checkReadyCall,
  getAllocationCall,
  parseAllocation,
  parseCreated,
  releaseCall,
  releaseOthersCall,
} from "./text/agent_messages.ts";
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

/** The agent that is asked. */
export interface AgentSourceOptions {
  readonly socketPath: string;
  /** Folder for releases that wait. Undefined: where the agent looks. */
  readonly queueDir: string | undefined;
  /** For a whole command. */
  readonly timeoutMs: number;
}

/** Most of what is kept back of a command's time, to undo it. */
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
    const startedAtMs = this.#io.now();
    const reserveMs = Math.min(UNDO_MS, this.#options.timeoutMs / 4);
    const outcome = await this.#call(allocateCall(owner, request), {
      reserveMs,
    });
    try {
      const answer = answerOf(outcome, {
        what: "allocate an address",
        condition: (code) =>
          code === "invalid_argument" && addresses.length > 0
            ? "address_refused"
            : conditionOf(code),
      });
      const allocation = parseAllocation(answer);
      const isNew = parseCreated(answer);
      return {
        addresses: allocation.addresses,
        routes: [],
        undo: () => isNew ? this.#undo(owner, startedAtMs) : Promise.resolve(),
      };
    } catch (error) {
      const isUnclear = ["lost", "garbled", "answered"].includes(outcome.kind);
      if (isUnclear) await this.#undo(owner, startedAtMs);
      throw error;
    }
  }

  async release(owner: CniOwner): Promise<void> {
    const requestedAtMs = this.#io.now();
    const outcome = await this.#call(releaseCall(owner, RELEASE_REASON));
    const isGone = outcome.kind === "refused" && outcome.code === "not_found";
    if (outcome.kind === "answered" || isGone) return;
    const condition = conditionFor(outcome, conditionOf);
    if (condition !== "try_again") throw failure(outcome, "release", condition);
    queueRelease(this.#io, { owner, requestedAtMs }, {
      ...this.#options,
      why: outcome.why,
    });
  }

  async held(owner: CniOwner): Promise<readonly HeldAddress[]> {
    const answer = answerOf(await this.#call(getAllocationCall(owner)), {
      what: "check the addresses",
      condition: (code) =>
        code === "not_found" ? "check_failed" : conditionOf(code),
    });
    return parseAllocation(answer).addresses;
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
   * Takes back what was given since a time. What the owner held before is left:
   * a container may be using it. Never throws: the agent undoes by itself what
   * it has not answered, and the runtime follows a failed ADD with DEL.
   */
  async #undo(owner: CniOwner, startedAtMs: number): Promise<void> {
    const outcome = await this.#call(getAllocationCall(owner));
    if (outcome.kind !== "answered") return;
    let held: AgentAllocation;
    try {
      held = parseAllocation(outcome.message);
    } catch {
      return;
    }
    const { allocatedAtMs } = held;
    if (allocatedAtMs < startedAtMs || allocatedAtMs > this.#io.now()) return;
    await this.#call(releaseCall(owner, UNDO_REASON));
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

/** The agent's own words say what it could not do; the others need a start. */
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
