import type { PingAnswer } from "../host/plan/probe_output.ts";
import type { Address } from "../net/address.ts";
import type { Attachment } from "./plan/attachment.ts";
import type { EchoCounts } from "./plan/echo_counts.ts";

/** A network namespace that lasts as long as its process. */
export interface StationProcess extends AsyncDisposable {
  /** Id of the process. */
  readonly pid: number;
  /** The TCP port on which it echoes, on each of its addresses. */
  readonly port: number;
  /**
   * Connects the namespace to a bridge.
   *
   * @throws {NetError} `unavailable` when a command fails
   */
  attach(attachment: Omit<Attachment, "pid">): Promise<void>;
  /**
   * Sends echo requests out of the namespace until one is answered, for at most
   * a second.
   *
   * @throws {NetError} `unavailable` when `ping` cannot send
   */
  ping(to: Address, packetBytes?: number): Promise<PingAnswer>;
  /**
   * Sends 256 KiB over a TCP connection out of the namespace, and gets them back.
   *
   * @returns why that failed; empty when it did not
   */
  exchange(to: Address, port: number): Promise<string>;
  /** The echo requests that have got to the namespace. */
  countEchoes(): Promise<EchoCounts>;
  /** Lets it live on: it ends by itself when it hears nothing for a minute. */
  keepAlive(): void;
}

/** Makes network namespaces. */
export interface StationMaker {
  /**
   * @throws {NetError} `permission_denied` without CAP_SYS_ADMIN, `unavailable`
   * when it does not start
   */
  start(): Promise<StationProcess>;
}
