import { getLogger } from "@logtape/logtape";
import type { QueuedRelease, ReleaseQueue } from "../cni/queue.ts";
import type { NetnsLookup } from "../system/netns.ts";
import type { Allocator } from "./allocator.ts";
import type { ChangeOptions } from "./allocator_options.ts";
import type { Allocation } from "./plan/allocation.ts";
import { formatOwner, type Owner, ownerKey } from "../base/names.ts";
import type { Allocated, AllocationRequest } from "./plan/allocation_plan.ts";
import {
  type Attachment,
  type Del,
  isReleasedBy,
  type Presence,
  presenceOf,
} from "./plan/attachment.ts";
import type { NamespaceId } from "../net/namespace.ts";
import {
  type CheckedContainer,
  type LeakCandidates,
  planLeaks,
} from "./plan/leak.ts";

const log = getLogger(["stellar-net", "agent", "containers"]);

export interface ContainersOptions {
  readonly netns: NetnsLookup;
  /** What Docker has. Default: the agent does not know. */
  readonly dockerEndpoints?: EndpointLookup;
  /** Releases that CNI plugins queued while they did not reach the agent. */
  readonly queue: ReleaseQueue;
  /** Id of this boot of the host (`/proc/sys/kernel/random/boot_id`). */
  readonly bootId: string;
  /** Time between two checks that must both find a namespace gone, in ms. */
  readonly leakGraceMs: number;
  /** Called with each release of leaked addresses: a sentence, and the container. */
  readonly onLeak?: (text: string, containerId: string) => void;
  /** Monotonic time, in ms: no change of the clock shortens the grace period. */
  readonly uptimeMs: () => number;
}

/** Looks for the endpoints of Docker on this host. */
export interface EndpointLookup {
  /** By evidence of now; "unknown" where Docker does not answer. Never throws. */
  presenceOf(allocation: Allocation): Promise<Presence>;
}

/** A request of a CNI runtime. */
export type AddRequest =
  & Pick<AllocationRequest, "id" | "owner" | "addresses" | "answering">
  & Pick<AllocationRequest, "labels">
  & {
    /** Path of the network namespace; empty when it is not known. */
    readonly netns: string;
  };

/** The containers of this node: their ADDs and DELs, and the addresses that they leaked. */
export class Containers {
  readonly #options: ContainersOptions;
  #candidates: LeakCandidates = new Map();
  /** Namespaces that appeared after their ADD, by the id of the allocation. */
  readonly #appeared = new Map<string, NamespaceId>();
  /** The last use of the queue. One at a time, so that no entry is applied twice. */
  #queueUse: Promise<unknown> = Promise.resolve();

  constructor(options: ContainersOptions) {
    this.#options = options;
  }

  /** Carries out an ADD. @throws {NetError} as {@linkcode Allocator.allocate} */
  async add(
    allocator: Allocator,
    request: AddRequest,
    options: ChangeOptions = {},
  ): Promise<Allocated> {
    const { netns, ...asked } = request;
    const { owner } = asked;
    const supersedes = options.isDryRun
      ? []
      : await this.#applyQueueOf(owner, allocator);
    const found = await this.#find(netns);
    const attachment: Attachment = {
      netns,
      netnsSeen: found.kind === "there",
      bootId: this.#options.bootId,
      ...(found.kind === "there" && { namespace: found.id }),
      ...(supersedes.length > 0 && { supersedes }),
    };
    return await allocator.allocate({
      ...asked,
      attachment,
      presenceOf: (held) => this.#presenceOf(held),
    }, options);
  }

  /**
   * Carries out a DEL: releases the allocation of an owner if its container is
   * the one that the DEL names.
   */
  async del(
    allocator: Allocator,
    owner: Owner,
    del: {
      readonly netns: string;
      readonly reason: string;
      readonly isDryRun?: boolean;
    },
  ): Promise<Allocation | undefined> {
    const { bootId } = this.#options;
    const found = await this.#find(del.netns);
    return await this.#release(allocator, {
      owner,
      del: { netns: del.netns, found, bootId },
      reason: del.reason,
      isDryRun: del.isDryRun ?? false,
    });
  }

  /** Why an allocation seems to be leaked; empty when it does not. */
  leakOf({ id }: Allocation): string {
    return this.#candidates.get(id)?.reason ?? "";
  }

  /** Checks every container, and releases the leaked addresses. */
  async collectLeaks(allocator: Allocator | undefined): Promise<void> {
    if (!allocator) return;
    const { uptimeMs, leakGraceMs } = this.#options;
    const held = await allocator.select((a) => a.attachment !== undefined);
    const checked: CheckedContainer[] = [];
    for (const allocation of held) {
      const presence = await this.#presenceOf(allocation);
      checked.push({ allocation, presence });
    }
    const ids = new Set(held.map(({ id }) => id));
    for (const id of this.#appeared.keys()) {
      if (!ids.has(id)) this.#appeared.delete(id);
    }
    const { candidates, release } = planLeaks(this.#candidates, checked, {
      nowMs: uptimeMs(),
      graceMs: leakGraceMs,
    });
    this.#candidates = candidates;
    for (const { allocation, reason } of release) {
      const released = await allocator.release(
        allocation.owner,
        { cause: "leaked", text: `leaked: ${reason}` },
        { onlyIf: ({ id }) => id === allocation.id },
      );
      const left = new Map(this.#candidates);
      left.delete(allocation.id);
      this.#candidates = left;
      if (!released) continue;
      const { owner } = allocation;
      this.#options.onLeak?.(
        `The leaked addresses of ${
          formatOwner(owner)
        } were released: ${reason}`,
        owner.containerId,
      );
      log.info("Released the leaked addresses of {owner}: {reason}", {
        owner: formatOwner(allocation.owner),
        reason,
      });
    }
  }

  /** Applies the releases that CNI plugins queued. */
  async applyQueue(allocator: Allocator | undefined): Promise<void> {
    await this.#useQueue(async (queue) => {
      for (const entry of await queue.list()) {
        await this.#applyQueued(entry, allocator);
        await queue.remove(entry.id);
      }
    });
  }

  /** The numbers of queued releases and of leaked allocations. */
  async counts(): Promise<
    { readonly queued: number; readonly leaked: number }
  > {
    return {
      queued: await this.#options.queue.size(),
      leaked: this.#candidates.size,
    };
  }

  /**
   * Applies the queued releases of an owner, all of which precede what follows.
   *
   * @returns the ids of those that are still in the queue
   */
  async #applyQueueOf(owner: Owner, allocator: Allocator): Promise<string[]> {
    return await this.#useQueue(async (queue) => {
      if (await queue.size() === 0) return [];
      const key = ownerKey(owner);
      const left: string[] = [];
      for (const entry of await queue.list()) {
        if (ownerKey(entry.owner) !== key) continue;
        await this.#applyQueued(entry, allocator);
        try {
          await queue.remove(entry.id);
        } catch (error) {
          left.push(entry.id);
          log.error("Cannot remove the queued release {id}: {error}", {
            id: entry.id,
            error,
          });
        }
      }
      return left;
    });
  }

  async #applyQueued(
    entry: QueuedRelease,
    allocator: Allocator | undefined,
  ): Promise<void> {
    const { owner, undoes, netns = "", found, bootId = "" } = entry;
    if (!allocator) return;
    const reason = undoes === undefined
      ? "CNI DEL while the agent was down"
      : "its CNI ADD was not answered";
    if (undoes !== undefined) {
      const text = { cause: "undelivered" as const, text: reason };
      const onlyIf = ({ id }: Allocation) => id === undoes;
      await allocator.release(owner, text, { onlyIf });
      return;
    }
    const unseen = { kind: "unknown" as const };
    await this.#release(allocator, {
      owner,
      del: { netns, found: found ?? unseen, bootId, queuedAs: entry.id },
      reason: { cause: "queued", text: reason },
    });
  }

  async #release(
    allocator: Allocator,
    release: {
      readonly owner: Owner;
      readonly del: Del;
      readonly reason: Parameters<Allocator["release"]>[1];
      readonly isDryRun?: boolean;
    },
  ): Promise<Allocation | undefined> {
    const { owner, del, reason, isDryRun = false } = release;
    const held = await allocator.get(owner);
    if (!held) return undefined;
    const { attachment } = held;
    if (attachment) {
      const presence = await this.#presenceOf(held);
      if (!isReleasedBy(attachment, del, presence)) {
        log.info(
          "Keeping the addresses of {owner}: the DEL for {netns} is not for its container in {holder}",
          {
            owner: formatOwner(owner),
            netns: del.netns,
            holder: attachment.netns,
          },
        );
        return undefined;
      }
    }
    return await allocator.release(owner, reason, {
      onlyIf: ({ id }) => id === held.id,
      isDryRun,
    });
  }

  async #presenceOf(allocation: Allocation): Promise<Presence> {
    const { id, attachment } = allocation;
    if (!attachment) return "unknown";
    const { bootId, dockerEndpoints } = this.#options;
    if (attachment.docker && attachment.bootId === bootId) {
      return await dockerEndpoints?.presenceOf(allocation) ?? "unknown";
    }
    const found = await this.#find(attachment.netns);
    const appeared = this.#appeared.get(id);
    if (!attachment.namespace && !appeared && found.kind === "there") {
      this.#appeared.set(id, found.id);
    }
    return presenceOf(
      { ...attachment, ...(appeared && { namespace: appeared }) },
      { bootId, found },
    );
  }

  #find(netns: string): ReturnType<NetnsLookup["find"]> {
    return netns === ""
      ? Promise.resolve({ kind: "unknown" })
      : this.#options.netns.find(netns);
  }

  #useQueue<T>(use: (queue: ReleaseQueue) => Promise<T>): Promise<T> {
    const run = this.#queueUse.then(() => use(this.#options.queue));
    this.#queueUse = run.catch(() => {});
    return run;
  }
}
