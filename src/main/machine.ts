import type { Machine } from "../state/machine.ts";
import { DenoCommandRunner } from "../system/deno_command.ts";
import { readKernelFile } from "../system/files.ts";

/** Names of network cards, where the kernel does not tell them from virtual links (systemd.net-naming-scheme(7)). */
const CARD_NAME = /^(?:eth|en|wl|ib)/;

/** A line of `ip -details -json link show`, as far as it is used. */
interface Link {
  readonly ifname?: string;
  readonly link_type?: string;
  readonly address?: string;
  readonly linkinfo?: unknown;
}

/** Reads what tells this machine from others. What cannot be read is empty. */
export async function readThisMachine(): Promise<Machine> {
  return {
    machineId: await readId("/etc/machine-id"),
    productUuid: await readId("/sys/class/dmi/id/product_uuid"),
    macs: await readMacs(),
  };
}

async function readId(path: string): Promise<string> {
  try {
    return (await readKernelFile(path)).trim().toLowerCase();
  } catch {
    return "";
  }
}

async function readMacs(): Promise<string[]> {
  try {
    const { code, stdout } = await new DenoCommandRunner().run({
      program: "ip",
      args: ["-details", "-json", "link", "show"],
    });
    if (code !== 0) return [];
    const links: Link[] = JSON.parse(stdout);
    return links.filter(({ ifname = "", link_type, linkinfo }) =>
      link_type === "ether" &&
      (linkinfo === undefined || CARD_NAME.test(ifname))
    ).flatMap(({ address }) => address ?? []).sort();
  } catch {
    return [];
  }
}
