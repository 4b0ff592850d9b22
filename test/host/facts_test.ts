import assert from "node:assert/strict";
import { apiUrlOf, findFacts, reachedAddresses } from "../../src/host/facts.ts";
import type { AgentSecurity } from "../../src/config/config.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import {
  containsAddress,
  parsePrefix,
  prefixOf,
} from "../../src/net/prefix.ts";
import type { HostInterfaces } from "../../src/routes/plan/uplink.ts";

/** Interfaces: name, addresses with their prefix lengths, and whether the default route is there. */
type LinkText = readonly [name: string, addresses: string, isUplink: boolean];

function interfacesOf(links: readonly LinkText[]): HostInterfaces {
  return {
    links: links.map(([name, addresses]) => ({
      ...{ name, mtuBytes: 1500, kind: "", isUp: true },
      addresses: addresses.split(" ").filter(Boolean).map((text) => {
        const [address, length] = text.split("/");
        return {
          ...{ device: name, scope: "global", isTransient: false },
          address: parseAddress(address!),
          prefix: prefixOf(parseAddress(address!), Number(length)),
        };
      }),
    })),
    defaultRoutes: links.filter(([, , isUplink]) => isUplink)
      .flatMap(([device]) =>
        ([4, 6] as const).map((family) => ({
          ...{ family, device, gateway: "", metric: 0 },
        }))
      ),
  };
}

const ETH0: LinkText = ["eth0", "198.18.0.2/24 2001:2::2/64", true];
const SECOND: LinkText = ["eth1", "10.1.0.2/24", false];
const NO_WAY_OUT: LinkText = ["eth0", "198.18.0.2/24", false];

const FACTS: readonly [
  what: string,
  host: {
    readonly links: readonly LinkText[];
    readonly advertise?: readonly string[];
    readonly join?: readonly string[];
    readonly listen?: readonly string[];
    readonly previous?: readonly string[];
  },
  wanted: {
    readonly advertised: string;
    readonly apiUrl: string;
    readonly warnings?: RegExp;
  },
][] = [
  ["advertises the addresses of the default route's interface", {
    links: [SECOND, ETH0],
    listen: ["0.0.0.0"],
  }, {
    advertised: "198.18.0.2 2001:2::2",
    apiUrl: "http://198.18.0.2:9000",
  }],
  ["advertises what it is told, and is reached there", {
    links: [SECOND, ETH0],
    advertise: ["10.1.0.2"],
    listen: ["0.0.0.0"],
  }, { advertised: "10.1.0.2", apiUrl: "http://10.1.0.2:9000" }],
  ["warns of an advertised address that is not here", {
    links: [ETH0],
    advertise: ["198.18.0.77"],
  }, {
    advertised: "198.18.0.77",
    apiUrl: "",
    warnings:
      /^--advertise: no interface of this host has 198\.18\.0\.77; packets/,
  }],
  ["takes the address that it listens on where there is no way out", {
    links: [SECOND, NO_WAY_OUT],
    listen: ["10.1.0.2"],
  }, { advertised: "10.1.0.2", apiUrl: "http://10.1.0.2:9000" }],
  ["takes the address toward the registry where nothing else is told", {
    links: [SECOND, NO_WAY_OUT],
    join: ["http://registry.example:9000", "http://198.18.0.1:9000"],
  }, { advertised: "198.18.0.2", apiUrl: "" }],
  ["keeps the address that it advertised before, while the host has it", {
    links: [SECOND, ETH0],
    listen: ["0.0.0.0"],
    previous: ["10.1.0.2"],
  }, { advertised: "10.1.0.2 2001:2::2", apiUrl: "http://10.1.0.2:9000" }],
  ["leaves an address that the host has lost", {
    links: [SECOND, ETH0],
    listen: ["0.0.0.0"],
    previous: ["10.1.0.9"],
  }, { advertised: "198.18.0.2 2001:2::2", apiUrl: "http://198.18.0.2:9000" }],
  ["keeps the previous address without a default route", {
    links: [SECOND, NO_WAY_OUT],
    listen: ["0.0.0.0"],
    previous: ["198.18.0.2"],
  }, { advertised: "198.18.0.2", apiUrl: "http://198.18.0.2:9000" }],
  ["takes the address towards the registry, not that of the default route", {
    links: [SECOND, ETH0],
    join: ["http://10.1.0.9:9000"],
    listen: ["0.0.0.0"],
  }, { advertised: "10.1.0.2 2001:2::2", apiUrl: "http://10.1.0.2:9000" }],
  ["takes the address that it listens on, not that of the default route", {
    links: [SECOND, ETH0],
    listen: ["10.1.0.2"],
  }, { advertised: "10.1.0.2 2001:2::2", apiUrl: "http://10.1.0.2:9000" }],
  ["never advertises a floating address", {
    links: [["eth0", "198.18.0.100/32 198.18.0.2/24", true]],
    listen: ["198.18.0.100"],
  }, { advertised: "198.18.0.2", apiUrl: "http://198.18.0.100:9000" }],
  ["advertises a /32 that stands alone", {
    links: [["eth0", "198.18.0.100/32", true]],
    listen: ["0.0.0.0"],
  }, { advertised: "198.18.0.100", apiUrl: "http://198.18.0.100:9000" }],
  ["warns of a listener whose address is not here", {
    links: [ETH0],
    listen: ["198.18.0.77", "0.0.0.0", "127.0.0.1"],
  }, {
    advertised: "198.18.0.2 2001:2::2",
    apiUrl: "http://198.18.0.77:9000",
    warnings:
      /^--listen: no interface of this host has 198\.18\.0\.77; no other host can call this agent there until one has$/,
  }],
  ["advertises nothing on a host without addresses", {
    links: [["eth0", "", false]],
    listen: ["127.0.0.1"],
  }, { advertised: "", apiUrl: "" }],
];

for (const [what, host, wanted] of FACTS) {
  Deno.test(`findFacts() ${what}`, async () => {
    const localPrefixes = [
      { prefix: parsePrefix("172.17.0.0/16"), device: "docker0" },
    ];
    const { facts, warnings } = await findFacts({
      config: {
        advertise: (host.advertise ?? []).map(parseAddress),
        join: host.join ?? [],
        security: { kind: "none" },
      },
      network: {
        readInterfaces: () => Promise.resolve(interfacesOf(host.links)),
        sourceToward: (to) =>
          Promise.resolve(
            interfacesOf(host.links).links.flatMap((link) => link.addresses)
              .find(({ prefix }) => containsAddress(prefix, to))?.address,
          ),
      },
      readPrefixes: () => Promise.resolve(localPrefixes),
      networks: [],
      previous: (host.previous ?? []).map(parseAddress),
    }, (host.listen ?? []).map((hostname) => ({ hostname, port: 9000 })));
    assert.equal(
      facts.advertised.map(formatAddress).join(" "),
      wanted.advertised,
    );
    assert.equal(facts.apiUrl, wanted.apiUrl);
    assert.equal(facts.localPrefixes, localPrefixes);
    assert.match(warnings.join(), wanted.warnings ?? /^$/);
  });
}

const URLS: readonly [
  listening: readonly string[],
  advertised: readonly string[],
  url: string,
][] = [
  [[], ["198.18.0.2"], ""],
  [["127.0.0.1"], ["198.18.0.2"], ""],
  [["::1"], ["2001:2::2"], ""],
  [["127.0.0.1", "198.18.0.2"], [], "http://198.18.0.2:9000"],
  [["2001:2::2"], [], "http://[2001:2::2]:9000"],
  [["0.0.0.0"], ["2001:2::2", "198.18.0.2"], "http://198.18.0.2:9000"],
  [["::"], ["198.18.0.2", "2001:2::2"], "http://[2001:2::2]:9000"],
  [["0.0.0.0"], ["2001:2::2"], ""],
];

for (const [listening, advertised, url] of URLS) {
  const from = `${listening.join(" and ") || "nothing"}, advertised ${
    advertised.join(" and ") || "nothing"
  }`;
  Deno.test(`apiUrlOf() ${from}`, () => {
    assert.equal(
      apiUrlOf(
        listening.map((hostname) => ({ hostname, port: 9000 })),
        advertised.map(parseAddress),
        { security: { kind: "none" } },
      ),
      url,
    );
  });
}

Deno.test("apiUrlOf() names https where an agent speaks TLS", () => {
  const paths = { certPath: "h.pem", keyPath: "h.key", caPath: "ca.pem" };
  const modes: readonly AgentSecurity[] = [
    { kind: "cluster" },
    { kind: "given", paths },
  ];
  const rows: readonly [listening: string, url: string][] = [
    ["127.0.0.1", ""],
    ["198.18.0.2", "https://198.18.0.2:9000"],
    ["0.0.0.0", "https://198.18.0.1:9000"],
    ["2001:2::2", "https://[2001:2::2]:9000"],
  ];
  for (const [hostname, url] of rows) {
    const listening = [{ hostname, port: 9000 }];
    const advertised = [parseAddress("198.18.0.1")];
    for (const security of modes) {
      assert.equal(apiUrlOf(listening, advertised, { security }), url);
    }
  }
});

Deno.test("reachedAddresses() are those that others reach an agent at", () => {
  const rows: readonly [
    listening: string,
    advertised: string,
    reached: string,
  ][] = [
    ["", "198.18.0.2", ""],
    ["127.0.0.1 ::1", "198.18.0.2", ""],
    ["198.18.0.2", "", "198.18.0.2"],
    ["198.18.0.2", "198.18.0.2 2001:2::2", "198.18.0.2 2001:2::2"],
    ["127.0.0.1 10.0.0.1", "198.18.0.2", "10.0.0.1 198.18.0.2"],
    ["0.0.0.0 ::", "198.18.0.2", "198.18.0.2"],
  ];
  const split = (texts: string) => texts.split(" ").filter(Boolean);
  for (const [listening, advertised, reached] of rows) {
    const found = reachedAddresses(
      split(listening).map((hostname) => ({ hostname, port: 9000 })),
      split(advertised).map(parseAddress),
    );
    assert.equal(found.map(formatAddress).join(" "), reached);
  }
});
