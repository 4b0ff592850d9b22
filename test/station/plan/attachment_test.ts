import assert from "node:assert/strict";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { planAttachment } from "../../../src/station/plan/attachment.ts";

Deno.test("planAttachment() makes a link on the bridge, with addresses and a default route of each family", () => {
  const plan = planAttachment({
    ...{ pid: 7, linkName: "stt1", bridge: "stellar0", mtuBytes: 1400 },
    addresses: [
      ["172.16.4.9", "172.16.4.0/22"],
      ["10.0.0.9", "10.0.0.0/24"],
      ["fd00::9", "fd00::/64"],
    ].map(([address, subnet]) => ({
      address: parseAddress(address!),
      subnet: parsePrefix(subnet!),
    })),
  });
  assert.deepEqual(plan, {
    host: [
      "link add stt1 mtu 1400 type veth peer name eth0 mtu 1400 netns 7",
      "link set stt1 master stellar0 up",
    ],
    inside: [
      "link set lo up",
      "link set eth0 up",
      "address add 172.16.4.9/22 dev eth0",
      "address add 10.0.0.9/24 dev eth0",
      "address add fd00::9/64 dev eth0 nodad",
      // A second one of a family would be refused.
      "route add default via 172.16.4.1",
      "route add default via fd00::1",
    ],
  });
});
