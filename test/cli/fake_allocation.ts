import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { AllocationSchema } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { NOW_MS } from "./fake_io.ts";

export const OWNER = {
  network: "default",
  containerId: "web-1",
  interfaceName: "eth0",
};

export const DUAL_STACK = {
  id: "8b5cbd2e-7d36-4a9e-a5b4-7c1c2d6f7a10",
  node: "node0",
  owner: OWNER,
  addresses: [
    { address: "172.16.0.2", subnet: "172.16.0.0/22", gateway: "172.16.0.1" },
    { address: "fd00:1::2", subnet: "fd00:1::/64", gateway: "fd00:1::1" },
  ],
  allocatedAt: timestampFromMs(NOW_MS - 180_000),
} satisfies MessageInitShape<typeof AllocationSchema>;
