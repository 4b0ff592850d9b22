import type { CniResult } from "./cni_list.ts";
import { Station } from "./station.ts";

/** What tells one container from another. */
export interface LabContainerOptions {
  /** Its name, unique on its host. */
  readonly label: string;
  /** Name of its host. */
  readonly host: string;
  readonly netns: string;
  /** What the plugins answered. */
  readonly result: CniResult;
}

/** A container of a lab: a network namespace that the CNI plugins have attached to its host. */
export class LabContainer extends Station {
  /** Its name without its host's. */
  readonly label: string;
  /** Its addresses, without prefix lengths; the first network's comes first. */
  readonly addresses: readonly string[];
  /** The gateway of each address. */
  readonly gateways: readonly string[];
  /** What the plugins answered. */
  readonly result: CniResult;

  constructor({ label, host, netns, result }: LabContainerOptions) {
    super(`${host}/${label}`, netns);
    this.label = label;
    this.result = result;
    const { ips } = result;
    this.addresses = ips.map(({ address }) => address.split("/")[0]!);
    this.gateways = ips.flatMap(({ gateway }) => gateway ?? []);
  }

  /**
   * Its address in the first network, which is all that most labs have.
   *
   * @throws {Error} when it has none
   */
  get address(): string {
    const [address] = this.addresses;
    if (address === undefined) {
      throw new Error(`Cannot tell the address of ${this.name}: it has none`);
    }
    return address;
  }
}
