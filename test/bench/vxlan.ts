import { labNetns } from "../lab/lab_folder.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { addNetns, ipBatch } from "../lab/netns.ts";
import { Station } from "../lab/station.ts";

/** What a VXLAN's headers take of a packet: Ethernet, VXLAN, UDP and IPv4 (RFC 7348). */
const OVERHEAD_BYTES = 50;
const LINK_MTU = 1500;

/** Two containers of an overlay, and the address of the second. */
export interface Overlay {
  readonly from: Station;
  readonly to: Station;
  readonly address: string;
}

/**
 * Puts a container on each of two hosts, joined by a bridge on each host and a
 * VXLAN between the hosts, as overlay networks do it. It goes with the lab.
 */
export async function addVxlan(
  lab: string,
  near: LabHost,
  far: LabHost,
): Promise<Overlay> {
  const from = await addEnd(lab, near, far);
  const to = await addEnd(lab, far, near);
  return { from, to, address: addressOf(far) };
}

async function addEnd(
  lab: string,
  here: LabHost,
  there: LabHost,
): Promise<Station> {
  const mtu = LINK_MTU - OVERHEAD_BYTES;
  const netns = labNetns(lab, `${here.name}-vx`);
  await addNetns(netns);
  await ipBatch(here.netns, [
    `link add vxlan0 type vxlan id 7 local ${here.address} remote ${there.address} dstport 4789 dev eth0`,
    "link add vxbr0 type bridge",
    `link add vx0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${netns}`,
    "link set vxlan0 master vxbr0 up",
    "link set vx0 master vxbr0 up",
    "link set vxbr0 up",
  ]);
  await ipBatch(netns, [
    `address add ${addressOf(here)}/24 dev eth0`,
    "link set eth0 up",
  ]);
  return new Station(`${here.name}/vx`, netns);
}

/** Its container's address in the overlay: none that any network of the lab has. */
function addressOf({ number }: LabHost): string {
  return `198.19.7.${number}`;
}
