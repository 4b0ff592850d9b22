import type { HostDesired, HostState } from "../plan/host_plan.ts";
import { checkBridge, checkGateways, checkMtu } from "./bridge_checks.ts";
import type { Check } from "./check.ts";
import {
  checkForwardPolicy,
  checkMasquerade,
  checkNft,
} from "./filter_checks.ts";
import {
  checkForwarding,
  checkIp,
  checkPrivileges,
  checkReversePath,
} from "./host_checks.ts";

/** Checks this host against what it is to be, routes and peers left out. */
export function checkHost(desired: HostDesired, state: HostState): Check[] {
  return [
    checkIp,
    checkPrivileges,
    checkNft,
    checkBridge,
    checkGateways,
    checkForwarding,
    checkForwardPolicy,
    checkReversePath,
    checkMasquerade,
    checkMtu,
  ].flatMap((check) => check(desired, state));
}
