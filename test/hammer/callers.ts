import * as grpc from "@grpc/grpc-js";
import { setTimeout as delay } from "node:timers/promises";
import type { IpamClient } from "../support/ipam_client.ts";
import type { Beliefs } from "./beliefs.ts";
import type { HammeredHost } from "./hammered_host.ts";

/** What callers share. */
export interface CallerOptions {
  readonly host: HammeredHost;
  readonly beliefs: Beliefs;
  readonly random: () => number;
  /** Whether the agent is down, as the test has it. */
  readonly isDown: () => boolean;
  /** Whether enough calls were made. */
  readonly isDone: () => boolean;
  /** Whether it is the plugin's turn. */
  readonly isPluginDue: () => boolean;
  /** After every call. */
  readonly onAnswer: (answer: Answer) => void;
}

/** What came of a call. */
export interface Answer {
  /** Whether it was carried out, or refused by a rule. */
  readonly isAnswered: boolean;
  /** Whether the CNI plugin made it. Default false. */
  readonly isPlugin?: boolean;
}

/** Answers that change nothing: an exhausted subnet, an address that is held. */
const REFUSED: readonly number[] = [
  grpc.status.RESOURCE_EXHAUSTED,
  grpc.status.ALREADY_EXISTS,
];
/** Calls that CNI callers make while the agent is down. */
const CALLS_WHILE_DOWN = 2;
const RETRY_MS = 5;

function pick<T>(random: () => number, from: readonly T[]): T | undefined {
  return from[Math.floor(random() * from.length)];
}

/** Allocates and releases over the API, for owners of its own, until the agent is down or enough was done. */
export async function callApi(
  ids: readonly string[],
  options: CallerOptions & { readonly client: IpamClient },
): Promise<void> {
  const { client, beliefs, random, isDown, isDone, onAnswer } = options;
  while (!isDown() && !isDone()) {
    const id = pick(random, ids)!;
    const isHeld = beliefs.addressOf(id) !== undefined;
    const release = isHeld && random() < 0.7;
    // Now and then an address that somebody has.
    const taken = random() < 0.05 && !isHeld
      ? pick(random, beliefs.addresses())
      : undefined;
    try {
      if (release) {
        beliefs.drop(id);
        beliefs.doubt(id);
        await client.release(id);
        beliefs.settle(id);
      } else {
        if (!isHeld) beliefs.doubt(id);
        const [address] = await client.allocate(id, taken ? [taken] : []);
        beliefs.hold(id, { owner: id, address: address! });
      }
      onAnswer({ isAnswered: true });
    } catch (error) {
      const { code } = error as Partial<grpc.ServiceError>;
      if (code === undefined) throw error;
      const isRefused = REFUSED.includes(code);
      // An owner whose call before had no answer may hold another address.
      if (code === grpc.status.RESOURCE_EXHAUSTED) beliefs.settle(id);
      onAnswer({ isAnswered: isRefused });
      if (!isRefused) await delay(RETRY_MS);
    }
  }
}

/** Starts and ends containers as a CNI runtime does. */
export class Runtime {
  readonly #options: CallerOptions;
  readonly #ids: readonly string[];
  /** The containers that run: their holders, by id. */
  readonly #running = new Map<string, { holder: string; netns: string }>();
  #started = 0;

  constructor(ids: readonly string[], options: CallerOptions) {
    this.#ids = ids;
    this.#options = options;
  }

  /** Makes calls until enough was done, and some more when the agent is down. */
  async work(): Promise<void> {
    const { random, isDown, isDone, isPluginDue } = this.#options;
    let down = 0;
    while (!isDone() && down < CALLS_WHILE_DOWN) {
      if (isDown()) down++;
      else if (!isPluginDue()) {
        await delay(RETRY_MS);
        continue;
      }
      const id = pick(random, this.#ids)!;
      const run = this.#running.get(id);
      if (!run) await this.#start(id);
      else if (random() < 0.2) await this.#startTwin(id);
      else await this.#end(id, run);
    }
  }

  /** Every container is gone, without DEL. */
  reboot(): void {
    for (const [id, { holder }] of this.#running) {
      this.#options.beliefs.drop(holder);
      this.#options.beliefs.doubt(id);
    }
    this.#running.clear();
  }

  async #start(id: string): Promise<void> {
    const { host, beliefs, random } = this.#options;
    const holder = `${id}#${++this.#started}`;
    // A path of its own, or that of the container before it.
    const netns = random() < 0.5 ? id : holder.replace("#", "-");
    const taken = random() < 0.1 ? pick(random, beliefs.addresses()) : null;
    await host.addNamespace(netns);
    beliefs.doubt(id);
    const address = await this.#add({ id, netns, ips: taken ? [taken] : [] });
    if (address !== undefined) {
      beliefs.hold(holder, { owner: id, address });
      this.#running.set(id, { holder, netns });
      return;
    }
    // As runtimes do after a failure.
    await host.removeNamespace(netns);
    await this.#del({ id, netns });
  }

  /** A second container with the id of a running one. It must not be given its address. */
  async #startTwin(id: string): Promise<void> {
    const { host, beliefs } = this.#options;
    const holder = `${id}#${++this.#started}`;
    const netns = `twin-${holder.replace("#", "-")}`;
    await host.addNamespace(netns);
    const address = await this.#add({ id, netns });
    if (address !== undefined) beliefs.hold(holder, { owner: id, address });
    beliefs.drop(holder);
    await this.#del({ id, netns }, { isHeld: true });
    await host.removeNamespace(netns);
  }

  async #end(
    id: string,
    { holder, netns }: { holder: string; netns: string },
  ): Promise<void> {
    const { host, beliefs, random } = this.#options;
    const how = pick(random, ["DEL first", "DEL last", "no DEL"] as const);
    beliefs.drop(holder);
    beliefs.doubt(id);
    this.#running.delete(id);
    if (how === "DEL first") await this.#del({ id, netns });
    await host.removeNamespace(netns);
    if (how === "DEL last") await this.#del({ id, netns });
    // As a runtime restarts what has failed: before anybody has noticed.
    if (random() < 0.3) await this.#start(id);
  }

  /** @returns the address, or undefined when it was refused or failed */
  async #add(
    call: Parameters<HammeredHost["callPlugin"]>[1],
  ): Promise<string | undefined> {
    const { host, onAnswer } = this.#options;
    const { code, stdout, stderr } = await host.callPlugin("ADD", call);
    const answer = parseAnswer(stdout, stderr);
    const isAnswered = code === 0 || answer.code === 50 || answer.code === 102;
    onAnswer({ isAnswered, isPlugin: true });
    return code === 0 ? answer.ips![0]!.address.split("/")[0] : undefined;
  }

  async #del(
    call: Parameters<HammeredHost["callPlugin"]>[1],
    { isHeld = false } = {},
  ): Promise<void> {
    const { host, beliefs, onAnswer } = this.#options;
    const { code, stderr } = await host.callPlugin("DEL", call);
    const isQueued = /The release waits in/.test(stderr);
    if (code === 0 && !isQueued && !isHeld) beliefs.settle(call.id);
    onAnswer({ isAnswered: code === 0, isPlugin: true });
  }
}

function parseAnswer(
  stdout: string,
  stderr: string,
): Pick<Partial<{ code: number; ips: { address: string }[] }>, "code" | "ips"> {
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`Cannot read the plugin's answer: "${stdout}" ${stderr}`);
  }
}
