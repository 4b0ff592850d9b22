import assert from "node:assert/strict";
import { parseHeldAddress } from "../../../src/cni/text/agent_messages.ts";
import {
  checkAddresses,
  formatResult,
  parseDns,
  parsePrevAddresses,
  parseRoutes,
} from "../../../src/cni/text/result.ts";
import {
  CNI_VERSIONS,
  type CniVersion,
} from "../../../src/cni/text/version.ts";
import { assertRefuses } from "./refusals.ts";

const V4 = parseHeldAddress({
  address: "172.16.0.2",
  subnet: "172.16.0.0/22",
  gateway: "172.16.0.1",
});
const V6 = parseHeldAddress({
  address: "fd00::2",
  subnet: "fd00::/64",
  gateway: "fd00::1",
});
const ROUTES = parseRoutes({
  ipam: {
    routes: [
      { dst: "0.0.0.0/0", gw: "172.16.0.1", mtu: 1400 },
      { dst: "::/0" },
    ],
  },
});
const DNS = { nameservers: ["172.16.0.1"] };

const BY_FAMILY = {
  ip4: {
    ip: "172.16.0.2/22",
    gateway: "172.16.0.1",
    routes: [{ dst: "0.0.0.0/0", gw: "172.16.0.1" }],
  },
  ip6: { ip: "fd00::2/64", gateway: "fd00::1", routes: [{ dst: "::/0" }] },
};
const LIST = {
  ips: [
    { address: "172.16.0.2/22", gateway: "172.16.0.1" },
    { address: "fd00::2/64", gateway: "fd00::1" },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "172.16.0.1" }, { dst: "::/0" }],
};
const NAMED = {
  ...LIST,
  ips: [{ version: "4", ...LIST.ips[0] }, { version: "6", ...LIST.ips[1] }],
};
const WITH_MTU = {
  ...LIST,
  routes: [{ ...LIST.routes[0], mtu: 1400 }, LIST.routes[1]],
};
const SHAPES: Readonly<Record<CniVersion, unknown>> = {
  "0.1.0": BY_FAMILY,
  "0.2.0": BY_FAMILY,
  "0.3.0": NAMED,
  "0.3.1": NAMED,
  "0.4.0": NAMED,
  "1.0.0": LIST,
  "1.1.0": WITH_MTU,
};

Deno.test("formatResult() gives each version its shape", async (t) => {
  for (const version of CNI_VERSIONS) {
    await t.step(version, () => {
      const text = formatResult(version, {
        addresses: [V4, V6],
        routes: ROUTES,
        dns: DNS,
      });
      assert.deepEqual(JSON.parse(text), {
        cniVersion: version,
        ...SHAPES[version] as object,
        dns: DNS,
      });
    });
  }
});

Deno.test("formatResult() leaves out what there is none of", async (t) => {
  const only = { addresses: [V4], routes: [], dns: {} };
  const rows: readonly [version: CniVersion, expected: unknown][] = [
    ["0.2.0", { ip4: { ip: "172.16.0.2/22", gateway: "172.16.0.1" } }],
    ["0.4.0", { ips: [NAMED.ips[0]] }],
    ["1.1.0", { ips: [LIST.ips[0]] }],
  ];
  for (const [version, expected] of rows) {
    await t.step(version, () => {
      assert.deepEqual(JSON.parse(formatResult(version, only)), {
        cniVersion: version,
        ...expected as object,
        dns: {},
      });
    });
  }
});

Deno.test("formatResult() refuses two addresses of one family where there is room for one", async (t) => {
  for (const version of ["0.1.0", "0.2.0"] as const) {
    await t.step(version, () => {
      assertRefuses(
        () =>
          formatResult(version, { addresses: [V4, V4], routes: [], dns: {} }),
        "invalid_config",
        "it has room for one IPv4 address",
      );
    });
  }
});

Deno.test("parsePrevAddresses() reads the addresses of the result", () => {
  const addresses = parsePrevAddresses({ prevResult: { ...NAMED, x: 1 } });
  assert.deepEqual(addresses, [V4.cidr, V6.cidr]);
  assert.deepEqual(parsePrevAddresses({ prevResult: {} }), []);
});

Deno.test("parsePrevAddresses() refuses a result that is missing or malformed", async (t) => {
  const rows: readonly [prevResult: unknown, text: string][] = [
    [undefined, '"prevResult": it is missing'],
    [null, '"prevResult": it is missing'],
    ["x", '"prevResult": "x" is not an object'],
    [{ ips: {} }, '"prevResult.ips": an object is not a list'],
    [{ ips: [1] }, '"prevResult.ips[0]": 1 is not an object'],
    [{ ips: [{}] }, '"prevResult.ips[0].address": it is missing'],
    [{ ips: [{ address: "10.0.0.2" }] }, '"10.0.0.2" is not an address with'],
  ];
  for (const [prevResult, text] of rows) {
    await t.step(JSON.stringify(prevResult) ?? "none", () => {
      assertRefuses(
        () => parsePrevAddresses({ prevResult }),
        "invalid_config",
        text,
      );
    });
  }
});

Deno.test("checkAddresses() compares the result with the allocation", async (t) => {
  const told = (...texts: readonly string[]) =>
    parsePrevAddresses({
      prevResult: { ips: texts.map((address) => ({ address })) },
    });
  const v4 = "172.16.0.2/22";
  const v6 = "fd00::2/64";
  await t.step("the same", () => {
    checkAddresses([V4], told(v4));
    checkAddresses([V4, V6], told(v6, v4));
  });
  await t.step("another form of the same address", () => {
    checkAddresses([V6], told("FD00:0::0002/64"));
  });
  await t.step("an address of another plugin besides", () => {
    checkAddresses([V4], told(v4, "10.9.9.9/24"));
  });
  const rows: readonly [name: string, told: readonly string[], text: string][] =
    [
      ["nothing told", [], `holds "${v4}", which is not in it`],
      ["another address", ["172.16.0.99/22"], `holds "${v4}", which is not`],
      ["another length", ["172.16.0.2/24"], `holds "${v4}", which is not`],
      ["one family missing", [v4], `holds "${v6}", which is not in it`],
      [
        "one too many",
        [v4, v6, "172.16.0.99/22"],
        'does not hold the address of "prevResult.ips[2]"',
      ],
    ];
  for (const [name, texts, text] of rows) {
    await t.step(name, () => {
      assertRefuses(
        () => checkAddresses([V4, V6], told(...texts)),
        "check_failed",
        text,
      );
    });
  }
});

Deno.test("parseRoutes() reads destination, gateway and what 1.1.0 adds", async (t) => {
  const rows: readonly [routes: unknown, expected: unknown][] = [
    [undefined, []],
    [null, []],
    [[], []],
    [
      [{ dst: "0.0.0.0/0" }],
      [{ family: 4, dst: "0.0.0.0/0", extras: {} }],
    ],
    [
      [{ dst: "10.0.0.0/8", gw: "172.16.0.9" }, { dst: "::/0", gw: "fd00::9" }],
      [
        { family: 4, dst: "10.0.0.0/8", gw: "172.16.0.9", extras: {} },
        { family: 6, dst: "::/0", gw: "fd00::9", extras: {} },
      ],
    ],
    [
      [{
        dst: "10.0.0.0/8",
        gw: null,
        mtu: 1400,
        advmss: 1360,
        priority: 100,
        table: 50,
        scope: 0,
        unknown: "x",
      }],
      [{
        family: 4,
        dst: "10.0.0.0/8",
        extras: { mtu: 1400, advmss: 1360, priority: 100, table: 50, scope: 0 },
      }],
    ],
  ];
  for (const [routes, expected] of rows) {
    await t.step(JSON.stringify(routes) ?? "none", () => {
      assert.deepEqual(parseRoutes({ ipam: { routes } }), expected);
    });
  }
});

Deno.test("parseRoutes() refuses what no kernel would take, naming the key", async (t) => {
  const rows: readonly [routes: unknown, text: string][] = [
    ["x", '"ipam.routes": "x" is not a list'],
    [{}, '"ipam.routes": an object is not a list'],
    [[1], '"ipam.routes[0]": 1 is not an object'],
    [[null], '"ipam.routes[0]": it is missing'],
    [[{}], '"ipam.routes[0].dst": it is missing'],
    [[{ dst: 1 }], '"ipam.routes[0].dst": 1 is not a string'],
    [[{ dst: "10.0.0.0" }], '"10.0.0.0" is not a prefix'],
    [[{ dst: "10.0.0.0/33" }], '"10.0.0.0/33" is not a prefix'],
    [[{ dst: "10.0.0.1/8" }], '"10.0.0.1/8" has bits set behind'],
    [
      [{ dst: "0.0.0.0/0" }, { dst: "0.0.0.0/0", gw: "x" }],
      '"ipam.routes[1].gw": "x" is not an address',
    ],
    [[{ dst: "0.0.0.0/0", gw: "" }], '"" is not an address'],
    [
      [{ dst: "0.0.0.0/0", gw: "fd00::1" }],
      "is not an IPv4 address, as dst is",
    ],
    [[{ dst: "::/0", gw: "10.0.0.1" }], "is not an IPv6 address, as dst is"],
    [[{ dst: "::/0", mtu: "1500" }], '"ipam.routes[0].mtu": "1500" is not a'],
    [[{ dst: "::/0", table: -1 }], '"ipam.routes[0].table": -1 is not a whole'],
    [[{ dst: "::/0", scope: 1.5 }], "1.5 is not a whole number"],
  ];
  for (const [routes, text] of rows) {
    await t.step(JSON.stringify(routes), () => {
      assertRefuses(
        () => parseRoutes({ ipam: { routes } }),
        "invalid_config",
        text,
      );
    });
  }
});

Deno.test("parseDns() takes ipam.dns, else dns", async (t) => {
  const dns = {
    nameservers: ["10.0.0.1"],
    domain: "example",
    search: ["a.example", "b.example"],
    options: ["ndots:2"],
  };
  const other = { nameservers: ["10.0.0.2"] };
  const rows: readonly [config: Record<string, unknown>, expected: unknown][] =
    [
      [{}, {}],
      [{ dns: null, ipam: { dns: null } }, {}],
      [{ dns: {} }, {}],
      [{ dns }, dns],
      [{ dns: other, ipam: { dns } }, dns],
      [{ dns: { ...other, unknown: 1 } }, other],
    ];
  for (const [config, expected] of rows) {
    await t.step(JSON.stringify(config), () => {
      assert.deepEqual(parseDns(config), expected);
    });
  }
});

Deno.test("parseDns() refuses wrong types, naming the key", async (t) => {
  const rows: readonly [config: Record<string, unknown>, text: string][] = [
    [{ dns: "x" }, '"dns": "x" is not an object'],
    [{ dns: { nameservers: "x" } }, '"dns.nameservers": "x" is not a list'],
    [{ dns: { nameservers: [1] } }, '"dns.nameservers[0]": 1 is not a string'],
    [{ dns: { search: [null] } }, '"dns.search[0]": it is missing'],
    [{ dns: { domain: 1 } }, '"dns.domain": 1 is not a string'],
    [{ ipam: { dns: { options: {} } } }, '"ipam.dns.options": an object is'],
  ];
  for (const [config, text] of rows) {
    await t.step(JSON.stringify(config), () => {
      assertRefuses(() => parseDns(config), "invalid_config", text);
    });
  }
});
