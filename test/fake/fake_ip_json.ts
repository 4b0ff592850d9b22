import {
  addressBits,
  type Family,
  formatAddress,
} from "../../src/net/address.ts";
import {
  containsPrefix,
  formatPrefix,
  parsePrefix,
  type Prefix,
} from "../../src/net/prefix.ts";
import { PROTOCOL_BOOT } from "../../src/routes/plan/kernel_route.ts";
import type { FakeKernel } from "./fake_kernel.ts";
import {
  type FakeRoute,
  type FakeWay,
  isMultipath,
} from "./fake_route_table.ts";

/** What `ip -N -json route show table all` prints; the main tables are all. */
export function routesJson(kernel: FakeKernel): string {
  return JSON.stringify([...tableJson(kernel, 4), ...tableJson(kernel, 6)]);
}

/** What `ip -N -json route show WORDS` prints; it leaves out the protocol that it is asked for. */
export function shownRoutesJson(
  kernel: FakeKernel,
  family: Family,
  [filter, value = ""]: readonly string[],
): string {
  const prefixOf = (row: Record<string, unknown>) => {
    const text = String(row["dst"]);
    if (text === "default") return { family, value: 0n, length: 0 };
    return parsePrefix(
      text.includes("/") ? text : `${text}/${addressBits(family)}`,
    );
  };
  const rows = tableJson(kernel, family);
  const number = (row: Record<string, unknown>) =>
    String(row["protocol"] ?? PROTOCOL_BOOT);
  switch (filter) {
    case "proto":
      return JSON.stringify(
        rows.filter((row) => number(row) === value)
          .map((row) => ({ ...row, protocol: undefined })),
      );
    case "root":
      return JSON.stringify(
        rows.filter((row) => containsPrefix(parsePrefix(value), prefixOf(row))),
      );
    case "exact": {
      const wanted = value === "default"
        ? "default"
        : formatDestination(parsePrefix(value));
      return JSON.stringify(rows.filter((row) => row["dst"] === wanted));
    }
    case "scope":
      return JSON.stringify(
        rows.filter((row) => row["gateway"] === undefined && row["dev"]),
      );
  }
  throw new Error(`The fake ip cannot filter routes by ${filter}`);
}

function tableJson(
  kernel: FakeKernel,
  family: Family,
): Record<string, unknown>[] {
  const shown: FakeRoute[][] = [];
  for (const route of kernel.tables[family].routes) {
    const siblings = shown.at(-1);
    // The ways of an IPv6 multipath are shown as one route: the first one's.
    if (siblings && isSibling(siblings[0]!, route)) siblings.push(route);
    else shown.push([route]);
  }
  return shown.map((routes) => {
    const [route] = routes as [FakeRoute];
    const ways = routes.flatMap((each) => each.ways);
    return {
      ...route.type === "unicast" ? {} : { type: TYPES[route.type] },
      dst: formatDestination(route.destination),
      ...route.tos === "" ? {} : { tos: route.tos },
      ...ways.length === 1 ? wayJson(kernel, ways[0]!) : { flags: [] },
      ...route.protocol === PROTOCOL_BOOT
        ? {}
        : { protocol: String(route.protocol) },
      ...route.source === "" ? {} : { prefsrc: route.source },
      ...route.metric === 0 ? {} : { metric: route.metric },
      ...ways.length < 2
        ? {}
        : { nexthops: ways.map((way) => wayJson(kernel, way)) },
      ...family === 6 ? { pref: "medium" } : {},
    };
  });
}

/** What `ip -json address show` prints. */
export function addressesJson({ links }: FakeKernel): string {
  return JSON.stringify([...links.values()].map((link) => ({
    ifname: link.name,
    flags: link.isUp ? ["UP"] : [],
    mtu: 1500,
    addr_info: link.addresses.map(({ address, prefix }) => ({
      local: formatAddress(address),
      prefixlen: prefix.length,
      scope: "global",
    })),
  })));
}

const TYPES: Readonly<Record<string, string>> = {
  blackhole: "6",
  unreachable: "7",
  prohibit: "8",
};

function isSibling(first: FakeRoute, route: FakeRoute): boolean {
  return route.destination.family === 6 && isMultipath(first) &&
    isMultipath(route) && first.metric === route.metric &&
    formatPrefix(first.destination) === formatPrefix(route.destination);
}

function wayJson(
  kernel: FakeKernel,
  { gateway, device, isOnlink }: FakeWay,
): Record<string, unknown> {
  const isDown = !kernel.hasCarrier(device);
  return {
    ...gateway ? { gateway: formatAddress(gateway) } : {},
    dev: device,
    flags: [...isOnlink ? ["onlink"] : [], ...isDown ? ["linkdown"] : []],
  };
}

function formatDestination(prefix: Prefix): string {
  if (prefix.length === 0) return "default";
  return prefix.length === addressBits(prefix.family)
    ? formatAddress(prefix)
    : formatPrefix(prefix);
}
