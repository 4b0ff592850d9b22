import type { GroupSpec } from "../framework/spec.ts";
import { ALLOCATE, GET, LIST, RELEASE } from "./ip.ts";
import { HISTORY } from "./ip_history.ts";

export const IP: GroupSpec = {
  name: "ip",
  summary: "Allocate, release and look up the addresses of containers",
  examples: ["stellar-net ip allocate web-1", "stellar-net ip list"],
  commands: [ALLOCATE, RELEASE, GET, LIST, HISTORY],
};
