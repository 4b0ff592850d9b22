import assert from "node:assert/strict";
import {
  parseConfig,
  parseValidAttachments,
} from "../../../src/cni/text/config.ts";
import type { Verb } from "../../../src/cni/text/environment.ts";
import { CNI_VERSIONS, formatVersions } from "../../../src/cni/text/version.ts";
import { assertRefuses } from "./refusals.ts";

const OWN = { type: "stellar-net" };
const STELLAR = {
  type: "stellar-cni-ipam",
  node_name: "node1",
  peer_addr: "127.0.0.1:9000",
};
const BASE = { cniVersion: "1.1.0", name: "net", ipam: OWN };

Deno.test("parseConfig() reads our own kind", async (t) => {
  const rows: readonly [ipam: Record<string, unknown>, expected: unknown][] = [
    [{}, { socketPath: undefined, queueDir: undefined, timeoutMs: 10_000 }],
    [
      { socket: "/a.sock", queue: "/q", timeout: "1500ms" },
      { socketPath: "/a.sock", queueDir: "/q", timeoutMs: 1_500 },
    ],
    [
      { socket: null, timeout: "2m", unknown: { key: 1 } },
      { socketPath: undefined, queueDir: undefined, timeoutMs: 120_000 },
    ],
  ];
  for (const [keys, expected] of rows) {
    await t.step(JSON.stringify(keys), () => {
      assert.deepEqual(
        parseConfig({ ...BASE, ipam: { ...OWN, ...keys }, bridge: "x" }, "ADD"),
        {
          cniVersion: "1.1.0",
          name: "net",
          ipam: { kind: "agent", ...expected as object },
        },
      );
    });
  }
});

Deno.test("parseConfig() reads the kind of Stellar's plugin", async (t) => {
  const peers = ["127.0.0.1:9000", "[::1]:9000", "host-1.example:1"];
  for (const peer of peers) {
    await t.step(peer, () => {
      const ipam = { ...STELLAR, peer_addr: peer };
      assert.deepEqual(parseConfig({ ...BASE, ipam }, "DEL").ipam, {
        kind: "stellar",
        node: "node1",
        peer,
        timeoutMs: 10_000,
      });
    });
  }
});

Deno.test("parseConfig() takes every version, and 0.1.0 for none", async (t) => {
  for (const version of CNI_VERSIONS) {
    await t.step(version, () => {
      const config = { ...BASE, cniVersion: version };
      assert.equal(parseConfig(config, "ADD").cniVersion, version);
    });
  }
  for (const cniVersion of [undefined, null, ""]) {
    await t.step(String(cniVersion), () => {
      const config = { ...BASE, cniVersion };
      assert.equal(parseConfig(config, "DEL").cniVersion, "0.1.0");
    });
  }
});

Deno.test("parseConfig() refuses versions that are unknown, or older than the command", async (t) => {
  const rows: readonly [verb: Verb, version: unknown, text: string][] = [
    ["ADD", "9.9.9", '"9.9.9" is none of 0.1.0, 0.2.0'],
    ["ADD", "1.0", '"1.0" is none of'],
    ["DEL", " 1.0.0", '" 1.0.0" is none of'],
    ["CHECK", "0.3.1", 'Cannot CHECK: "cniVersion" is "0.3.1", and 0.4.0'],
    ["CHECK", undefined, 'Cannot CHECK: "cniVersion" is "0.1.0"'],
    ["GC", "1.0.0", 'Cannot GC: "cniVersion" is "1.0.0", and 1.1.0'],
    ["STATUS", "1.0.0", 'Cannot STATUS: "cniVersion" is "1.0.0", and 1.1.0'],
  ];
  for (const [verb, cniVersion, text] of rows) {
    await t.step(`${verb} ${cniVersion}`, () => {
      assertRefuses(
        () => parseConfig({ ...BASE, cniVersion }, verb),
        "incompatible_version",
        text,
      );
    });
  }
});

Deno.test("parseConfig() refuses keys that are missing or of the wrong type, naming key and value", async (t) => {
  const rows: readonly [change: Record<string, unknown>, text: string][] = [
    [{ cniVersion: 1 }, '"cniVersion": 1 is not a string'],
    [{ name: undefined }, '"name": it is missing'],
    [{ name: "" }, '"name": "" is not 1 to 253'],
    [{ name: 7 }, '"name": 7 is not a string'],
    [{ name: "a/b" }, '"name": "a/b" is not 1 to 253'],
    [{ ipam: undefined }, '"ipam": it is missing'],
    [{ ipam: null }, '"ipam": it is missing'],
    [{ ipam: [] }, '"ipam": a list is not an object'],
    [{ ipam: {} }, '"ipam.type": it is missing'],
    [{ ipam: { type: "host-local" } }, '"host-local" is neither'],
    [{ ipam: { type: 1 } }, '"ipam.type": 1 is not a string'],
    [{ ipam: { ...OWN, socket: 1 } }, '"ipam.socket": 1 is not a string'],
    [{ ipam: { ...OWN, socket: "" } }, '"ipam.socket": "" is not an absolute'],
    [{ ipam: { ...OWN, socket: "a" } }, '"a" is not an absolute path'],
    [
      { ipam: { ...OWN, socket: `/${"a".repeat(107)}` } },
      "at most 107 bytes",
    ],
    [{ ipam: { ...OWN, queue: {} } }, '"ipam.queue": an object is not a'],
    [{ ipam: { ...OWN, queue: "q" } }, '"ipam.queue": "q" is not an absolute'],
    [{ ipam: { ...OWN, timeout: 10 } }, '"ipam.timeout": 10 is not a string'],
    ...["10", "0s", "1.5s", "-1s", "10 s", "2h", "61m", "99999999s"].map((
      timeout,
    ): [Record<string, unknown>, string] => [
      { ipam: { ...OWN, timeout } },
      `"ipam.timeout": "${timeout}" is not a time`,
    ]),
    [
      { ipam: { type: "stellar-cni-ipam" } },
      '"ipam.node_name" and "ipam.peer_addr" are missing',
    ],
    [
      { ipam: { ...STELLAR, node_name: "" } },
      '"ipam.node_name" is missing',
    ],
    [{ ipam: { ...STELLAR, node_name: 1 } }, '"ipam.node_name": 1 is not a'],
    ...["127.0.0.1", "127.0.0.1:0", "a:70000", "http://a:1", ":9", "::1:9"].map(
      (peer): [Record<string, unknown>, string] => [
        { ipam: { ...STELLAR, peer_addr: peer } },
        `"ipam.peer_addr": "${peer}" is not a host and a port`,
      ],
    ),
  ];
  for (const [change, text] of rows) {
    await t.step(JSON.stringify(change).slice(0, 100), () => {
      assertRefuses(
        () => parseConfig({ ...BASE, ...change }, "ADD"),
        "invalid_config",
        text,
      );
    });
  }
});

Deno.test("formatVersions() answers in the version that was asked for, else in the latest", async (t) => {
  const rows: readonly [asked: unknown, answer: string][] = [
    ...CNI_VERSIONS.map((version): [unknown, string] => [version, version]),
    [undefined, "1.1.0"],
    ["9.9.9", "1.1.0"],
    [1, "1.1.0"],
  ];
  for (const [asked, answer] of rows) {
    await t.step(String(asked), () => {
      assert.deepEqual(JSON.parse(formatVersions(asked)), {
        cniVersion: answer,
        supportedVersions: CNI_VERSIONS,
      });
    });
  }
});

const KEY = "cni.dev/valid-attachments";

Deno.test("parseValidAttachments() reads the containers that keep their addresses", async (t) => {
  const rows: readonly [config: Record<string, unknown>, keep: unknown][] = [
    [{}, undefined],
    [{ [KEY]: null }, undefined],
    [{ [KEY]: [] }, []],
    [
      {
        [KEY]: [
          { containerID: "a", ifname: "eth0", x: 1 },
          { containerID: "a", ifname: "eth1" },
        ],
      },
      [
        { containerId: "a", interfaceName: "eth0" },
        { containerId: "a", interfaceName: "eth1" },
      ],
    ],
  ];
  for (const [config, keep] of rows) {
    await t.step(JSON.stringify(config), () => {
      assert.deepEqual(parseValidAttachments(config), keep);
    });
  }
});

Deno.test("parseValidAttachments() refuses what it cannot understand", async (t) => {
  const rows: readonly [list: unknown, text: string][] = [
    [{}, `"${KEY}": an object is not a list`],
    ["", `"${KEY}": "" is not a list`],
    [["a"], `"${KEY}[0]": "a" is not an object`],
    [[null], `"${KEY}[0]": it is missing`],
    [[{ ifname: "eth0" }], `"${KEY}[0].containerID": it is missing`],
    [[{ containerID: "a" }], `"${KEY}[0].ifname": it is missing`],
    [[{ containerID: 1, ifname: "eth0" }], "1 is not a string"],
    [[{ containerID: "a/b", ifname: "eth0" }], '"a/b" is not 1 to 253'],
    [[{ containerID: "a", ifname: "" }], '"" is not 1 to 15 bytes'],
  ];
  for (const [list, text] of rows) {
    await t.step(JSON.stringify(list), () => {
      assertRefuses(
        () => parseValidAttachments({ [KEY]: list }),
        "invalid_config",
        text,
      );
    });
  }
});
