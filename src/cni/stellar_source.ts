import { invalidAnswer, withLength } from "./text/agent_messages.ts";
import { type CniCondition, CniError, conditionOf } from "./text/errors.ts";
import { formatAddress } from "../net/address.ts";
import { gatewayOf, parsePrefix, type Prefix } from "../net/prefix.ts";
import { describe, parsed } from "./text/json.ts";
import type { CniOwner } from "./text/names.ts";
import type { HeldAddress } from "./text/result.ts";
import { Deadline, LateError, within } from "./agent_call.ts";
import {
  type CniIo,
  StellarCallError,
  type StellarClient,
  type StellarRef,
} from "./io.ts";
import type {
  AddressSource,
  SourceAllocation,
  SourceRequest,
} from "./source.ts";

export interface StellarSourceOptions {
  /** Name of this host's node. */
  readonly node: string;
  /** `host:port` of the service. */
  readonly peer: string;
  readonly timeoutMs: number;
}

type Conditions = (rpcCode: string) => CniCondition;

/** The interface that Stellar's runtime gives to every container. */
const STELLAR_INTERFACE = "eth0";
const UNDO_MS = 1_000;

/** A service that speaks Stellar's API, called as Stellar's own plugin calls it. */
export class StellarSource implements AddressSource {
  readonly #io: CniIo;
  readonly #options: StellarSourceOptions;
  readonly #deadline: Deadline;

  constructor(io: CniIo, options: StellarSourceOptions) {
    this.#io = io;
    this.#options = options;
    this.#deadline = new Deadline(options.timeoutMs, io.uptimeMs);
  }

  async allocate(request: SourceRequest): Promise<SourceAllocation> {
    if (request.addresses.length > 0) {
      throw new CniError(
        "address_refused",
        `Cannot allocate ${
          request.addresses.map(describe).join(" and ")
        }: Stellar's service cannot give a specific address`,
      );
    }
    const { node } = this.#options;
    const ref = this.#ref(request.owner);
    const subnet = await this.#subnet();
    const had = await this.#ask((client, ms) => client.getIp(ref, ms));
    const undo = had === ""
      ? () => this.#release(ref).catch(() => {})
      : () => Promise.resolve();
    const reserveMs = Math.min(UNDO_MS, this.#options.timeoutMs / 4);
    try {
      const ip = had !== "" ? had : await this.#ask(
        (client, ms) => client.allocateIp({ ...ref, subnet: subnet.text }, ms),
        { reserveMs },
      );
      const held = heldAddress(ip, subnet.prefix);
      const { family } = subnet.prefix;
      return {
        addresses: [held],
        routes: [{
          family,
          dst: family === 4 ? "0.0.0.0/0" : "::/0",
          gw: held.gateway,
          extras: {},
        }],
        undo,
      };
    } catch (error) {
      await undo();
      throw error instanceof CniError && error.condition === "refused"
        ? new CniError(
          error.condition,
          `${error.message} (node ${describe(node)})`,
          { cause: error },
        )
        : error;
    }
  }

  async release(owner: CniOwner): Promise<void> {
    await this.#release(this.#ref(owner));
  }

  async held(owner: CniOwner): Promise<readonly HeldAddress[]> {
    const ref = this.#ref(owner);
    const subnet = await this.#subnet();
    const ip = await this.#ask((client, ms) => client.getIp(ref, ms));
    if (ip === "") {
      throw new CniError(
        "check_failed",
        `Cannot check the address of ${describe(ref.id)}: it holds none`,
      );
    }
    return [heldAddress(ip, subnet.prefix)];
  }

  /** Does nothing: Stellar's API cannot list the holders of addresses. */
  releaseOthers(): Promise<void> {
    return Promise.resolve();
  }

  async checkReady(): Promise<void> {
    await this.#ask(
      (client, ms) => client.getSubnet(this.#options.node, ms),
      { condition: () => "not_available" },
    );
  }

  async #subnet(): Promise<{ text: string; prefix: Prefix }> {
    const text = await this.#ask((client, ms) =>
      client.getSubnet(this.#options.node, ms)
    );
    const prefix = parsed(parsePrefix, text);
    if (prefix) return { text, prefix };
    throw invalidAnswer(`${describe(text)} is not a subnet`);
  }

  async #release(ref: StellarRef): Promise<void> {
    const ip = await this.#ask((client, ms) => client.getIp(ref, ms));
    await this.#ask((client, ms) => client.releaseIp({ ...ref, ip }, ms));
  }

  /**
   * Stellar's plugin identifies a container by its id alone. The first interface
   * keeps that name, so that DEL releases what Stellar's plugin allocated.
   */
  #ref({ containerId, interfaceName }: CniOwner): StellarRef {
    const { node } = this.#options;
    return interfaceName === STELLAR_INTERFACE
      ? { id: containerId, node }
      : { id: `${containerId}:${interfaceName}`, node };
  }

  async #ask<T>(
    call: (client: StellarClient, timeoutMs: number) => Promise<T>,
    options: {
      readonly reserveMs?: number;
      readonly condition?: Conditions;
    } = {},
  ): Promise<T> {
    const { reserveMs = 0, condition = conditionOf } = options;
    const timeoutMs = Math.max(
      1,
      Math.floor(this.#deadline.remainingMs - reserveMs),
    );
    try {
      const client = await this.#io.connectStellar(this.#options.peer);
      return await within(call(client, timeoutMs), {
        timeoutMs,
        startTimer: this.#io.startTimer,
      });
    } catch (error) {
      throw toCniError(error, { peer: this.#options.peer, condition });
    }
  }
}

function heldAddress(ip: string, subnet: Prefix): HeldAddress {
  const gateway = formatAddress(gatewayOf(subnet));
  return { ...withLength(ip, subnet), gateway };
}

function toCniError(
  error: unknown,
  options: { readonly peer: string; readonly condition: Conditions },
): unknown {
  const code = error instanceof StellarCallError
    ? error.rpcCode
    : error instanceof LateError
    ? "deadline_exceeded"
    : undefined;
  if (code === undefined) return error;
  return new CniError(
    options.condition(code),
    `Cannot ask Stellar's service at ${describe(options.peer)}: ${
      (error as Error).message
    }`,
    { cause: error },
  );
}
