import { getLogger } from "@logtape/logtape";
import type { Allocation } from "../addresses/plan/allocation.ts";
import type { Presence } from "../addresses/plan/attachment.ts";
import { NetError } from "../base/error.ts";
import { formatOwner } from "../base/names.ts";
import { formatAddress } from "../net/address.ts";
import {
  type DockerNetwork,
  endpointsByAddress,
  type NamedEndpoint,
} from "./plan/networks.ts";
import { planNames } from "./plan/names.ts";
import type { DockerList, EndpointAddresses } from "./port.ts";

const log = getLogger(["stellar-net", "agent", "docker"]);

/** Age up to which Docker's list is not read again, in ms. */
const MAX_AGE_MS = 1_000;
/** Time from a request of Docker to the first look for the name of its container, in ms. */
const NAME_DELAY_MS = 300;
/** Looks for the name of a container that starts slowly. */
const NAME_LOOKS = 8;

/** Options of {@linkcode DockerEndpoints}. */
export interface DockerEndpointsOptions {
  readonly addresses: EndpointAddresses;
  /** Undefined: the agent may not ask Docker. */
  readonly list: Pick<DockerList, "networks"> | undefined;
  /**
   * Time from Docker's request until its list counts, in ms: Docker asks for an
   * address before it lists the endpoint.
   */
  readonly settleMs: number;
  /** Monotonic time, in ms. */
  readonly uptimeMs: () => number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  readonly randomId: () => string;
}

/**
 * Docker's own list of endpoints, as evidence: it names the containers behind
 * addresses, and shows which addresses Docker has forgotten.
 */
export class DockerEndpoints {
  readonly #options: DockerEndpointsOptions;
  /** When Docker asked for an allocation last, by its id. */
  readonly #asked = new Map<string, number>();
  /** Addresses that Docker has and somebody else holds: told once. */
  readonly #conflicts = new Map<string, string>();
  #view:
    | {
      readonly atMs: number;
      readonly endpoints: Promise<ReadonlyMap<string, NamedEndpoint>>;
    }
    | undefined;
  #looking: Promise<boolean> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looks = 0;
  #isStopped = false;

  constructor(options: DockerEndpointsOptions) {
    this.#options = options;
  }

  /** Sentences for the operator. */
  get warnings(): readonly string[] {
    return [...this.#conflicts.values()];
  }

  /** Records that Docker asked for an allocation, and looks for its container soon. */
  asked(allocation: Allocation): void {
    this.#asked.set(allocation.id, this.#options.uptimeMs());
    this.#looks = 0;
    this.#lookSoon();
  }

  /** Stops looking. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /**
   * The presence of an endpoint. It is gone if Docker does not list it, and
   * nothing answers to its address: a container may outlive the state of its
   * Docker.
   */
  async presenceOf(allocation: Allocation): Promise<Presence> {
    const { address } = allocation.addresses[0]!;
    const endpoints = await this.#read();
    if (!endpoints) return "unknown";
    if (endpoints.has(formatAddress(address))) return "running";
    const { settleMs, addresses } = this.#options;
    if (this.#sinceAskedMs(allocation) < settleMs) return "unknown";
    return await addresses.isInUse(address) ? "unknown" : "gone";
  }

  /** Whether Docker has forgotten the endpoint of an allocation. */
  async isForgotten(allocation: Allocation): Promise<boolean> {
    // No answer of before: the endpoint may be newer.
    this.#view = undefined;
    return await this.presenceOf(allocation) === "gone";
  }

  /**
   * Gives owners the names of their containers, and allocates the addresses
   * that Docker has and the ledger does not.
   *
   * Calls that come meanwhile share one look: two would both record an address.
   *
   * @returns whether Docker lists the address of each allocation
   * @throws when Docker does not answer
   */
  look(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => this.#looking = undefined);
    return this.#looking;
  }

  async #look(): Promise<boolean> {
    const { addresses, list } = this.#options;
    if (!list) return true;
    const networks = await list.networks();
    const held = await addresses.list();
    const ids = new Set(held.map(({ id }) => id));
    for (const id of this.#asked.keys()) {
      if (!ids.has(id)) this.#asked.delete(id);
    }
    const subnets = await addresses.subnets();
    const plan = planNames(held, { networks, subnets });
    for (const { held, owner, docker } of plan.rename) {
      await addresses.attach(held, docker, owner);
    }
    if (plan.adopt.length > 0) await this.#adopt(plan.adopt, list);
    else this.#conflicts.clear();
    return areListed(held, networks);
  }

  async #adopt(
    adopt: ReturnType<typeof planNames>["adopt"],
    list: Pick<DockerList, "networks">,
  ): Promise<void> {
    const { addresses, randomId } = this.#options;
    // Docker may have released it between the list and the look at the ledger.
    const still = endpointsByAddress(await list.networks());
    const conflicts = new Map<string, string>();
    for (const { address, within, owner, macAddress } of adopt) {
      const text = formatAddress(address);
      if (!still.has(text)) continue;
      if ((await addresses.heldAt(address))?.attachment?.docker) continue;
      try {
        await addresses.allocate({
          ...{ id: randomId(), address, within, owner, isAttached: true },
          docker: { poolId: "", macAddress },
        });
        log.info("Recorded {address} of {owner}: Docker has it", {
          address: text,
          owner: formatOwner(owner),
        });
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        const warning = `Docker gives ${text} to ${
          formatOwner(owner)
        }, and the ledger does not: ${error.message}`;
        conflicts.set(text, warning);
        if (!this.#conflicts.has(text)) log.error("{warning}", { warning });
      }
    }
    this.#conflicts.clear();
    for (const [text, warning] of conflicts) this.#conflicts.set(text, warning);
  }

  #lookSoon(): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    if (this.#looks >= NAME_LOOKS) return;
    const delayMs = NAME_DELAY_MS * 2 ** this.#looks++;
    this.#timer = setTimeout(async () => {
      this.#timer = undefined;
      try {
        if (!await this.look()) this.#lookSoon();
      } catch (error) {
        log.debug("Cannot look for names of containers: {error}", { error });
        this.#lookSoon();
      }
    }, delayMs);
  }

  /** The time since Docker asked for an allocation, in ms; the agent may have started since. */
  #sinceAskedMs({ id, allocatedAtMs }: Allocation): number {
    const { uptimeMs, now } = this.#options;
    const askedMs = this.#asked.get(id);
    return askedMs === undefined ? now() - allocatedAtMs : uptimeMs() - askedMs;
  }

  /** Docker's endpoints by address; undefined where it does not answer. */
  async #read(): Promise<ReadonlyMap<string, NamedEndpoint> | undefined> {
    const { list, uptimeMs } = this.#options;
    if (!list) return undefined;
    if (!this.#view || uptimeMs() - this.#view.atMs >= MAX_AGE_MS) {
      const endpoints = list.networks().then(endpointsByAddress);
      this.#view = { atMs: uptimeMs(), endpoints };
    }
    try {
      return await this.#view.endpoints;
    } catch (error) {
      log.debug("Cannot read Docker's list: {error}", { error });
      return undefined;
    }
  }
}

function areListed(
  held: readonly Allocation[],
  networks: readonly DockerNetwork[],
): boolean {
  const endpoints = endpointsByAddress(networks);
  return held.every(({ addresses }) =>
    endpoints.has(formatAddress(addresses[0]!.address))
  );
}
