import {
  FORWARDING,
  type HostDesired,
  type HostState,
  interfaceSysctl,
} from "../plan/host_plan.ts";
import {
  checkBridge,
  checkGateways,
  checkMtu,
  checkStrangeGateways,
} from "./bridge_checks.ts";
import {
  checkForwardPolicy,
  checkMasquerade,
  checkNft,
} from "./filter_checks.ts";
import { uplinkOf, uplinksOf } from "../../routes/plan/uplink.ts";
import {
  AS_ROOT,
  type Check,
  command,
  fixOf,
  passed,
  problemOf,
  shell,
} from "./check.ts";

/** Whether `ip` works. */
function checkIp(_: HostDesired, state: HostState): Check[] {
  if (state.interfaces) return [passed("ip", "reads this host's interfaces")];
  return [{
    name: "ip",
    status: "failed",
    found: problemOf(state, "ip"),
    means: "neither bridge nor routes can be looked at or changed",
    fix: "install iproute2",
  }];
}

/** Whether the agent may change the network. */
function checkPrivileges(_: HostDesired, state: HostState): Check[] {
  if (state.isNetAdmin) return [passed("privileges", "CAP_NET_ADMIN")];
  return [{
    name: "privileges",
    status: "warning",
    found: "the agent runs without CAP_NET_ADMIN",
    means: "it can look at this host's network and change nothing",
    fix: AS_ROOT,
  }];
}

/** Whether the kernel forwards, in each family of the subnets. */
function checkForwarding(
  desired: HostDesired,
  state: HostState,
): Check[] {
  const families = new Set(desired.subnets.map(({ family }) => family));
  const checks = [...families].map((family): Check => {
    const path = FORWARDING[family];
    const value = state.sysctls.get(path);
    const setting = path.replaceAll("/", ".");
    if (value !== undefined && value !== "0") {
      return passed("forwarding", `${setting} is ${value}`);
    }
    return {
      name: "forwarding",
      status: "failed",
      found: value === undefined
        ? `${setting} cannot be read`
        : `${setting} is 0`,
      means: `containers reach no other host over IPv${family}`,
      fix: fixOf("forwarding", desired, state) ||
        command(shell`sysctl -w ${path}=1`),
    };
  });
  return families.has(6) ? [...checks, ...checkAdvertisements(state)] : checks;
}

/** Whether a host that forwards still accepts its IPv6 default route from router advertisements. */
function checkAdvertisements({ interfaces, sysctls }: HostState): Check[] {
  if (!interfaces || sysctls.get(FORWARDING[6]) === "0") return [];
  const uplink = uplinkOf(interfaces, 4);
  if (!uplink || uplinkOf(interfaces, 6)) return [];
  const path = interfaceSysctl("accept_ra", uplink.device);
  if (sysctls.get(path) !== "1") return [];
  return [{
    name: "forwarding",
    status: "warning",
    found:
      `there is no IPv6 default route, and "${uplink.device}" ignores router advertisements: accept_ra is 1 and forwarding is on`,
    means: "this host does not learn a way out over IPv6",
    fix: command(shell`sysctl -w ${path}=2`),
  }];
}

/** Whether reverse-path filtering drops packets of peers. */
function checkReversePath(
  _: HostDesired,
  { interfaces, sysctls }: HostState,
): Check[] {
  if (!interfaces) return [];
  const ways = interfaces.defaultRoutes.filter(({ family }) => family === 4);
  const isMultihomed = new Set(ways.map(({ device }) => device)).size > 1;
  const all = Number(sysctls.get(interfaceSysctl("rp_filter", "all")) ?? "0");
  return uplinksOf(interfaces).filter(({ family }) => family === 4)
    .map(({ device }): Check => {
      const path = interfaceSysctl("rp_filter", device);
      // The kernel takes the larger of the two.
      const mode = Math.max(all, Number(sysctls.get(path) ?? "0"));
      const found = `rp_filter of "${device}" is ${mode}`;
      if (mode !== 1) return passed("reverse path", found);
      if (!isMultihomed) {
        return passed(
          "reverse path",
          `${found} (strict), and there is one way out`,
        );
      }
      return {
        name: "reverse path",
        status: "warning",
        found: `${found} (strict), and there are several ways out`,
        means:
          "packets of a peer that come in by another interface than the route to it leaves by are dropped",
        fix: command(shell`sysctl -w ${path}=2`),
      };
    });
}

/** Checks this host against its desired state, apart from routes and peers. */
export function checkHost(desired: HostDesired, state: HostState): Check[] {
  return [
    checkIp,
    checkPrivileges,
    checkNft,
    checkBridge,
    checkStrangeGateways,
    checkGateways,
    checkForwarding,
    checkForwardPolicy,
    checkReversePath,
    checkMasquerade,
    checkMtu,
  ].flatMap((check) => check(desired, state));
}
