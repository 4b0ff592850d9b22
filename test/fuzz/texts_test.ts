import assert from "node:assert/strict";
import { parseBridgeName } from "../../src/host/plan/host_plan.ts";
import { parseRouteProtocol } from "../../src/routes/plan/kernel_route.ts";
import { formatListen, parseListen } from "../../src/cli/framework/parsers.ts";
import * as flags from "../../src/cli/framework/parsers.ts";
import { parseStore } from "../../src/cli/commands/store_flags.ts";
import { parseCniArgs } from "../../src/cni/text/requested_ips.ts";
import { parseInvocation } from "../../src/cni/text/environment.ts";
import {
  decodeQueueEntry,
  encodeQueueEntry,
} from "../../src/cni/text/queue_entry.ts";
import { parseEnvironment } from "../../src/install/plan/agent_env.ts";
import {
  formatManifest,
  parseManifest,
} from "../../src/install/plan/manifest.ts";
import * as names from "../../src/base/names.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import {
  formatPrefix,
  parseInterfaceAddress,
  parseNetwork,
  parsePrefix,
} from "../../src/net/prefix.ts";
import {
  assertQuick,
  checkFuzz,
  fuzzedText,
  LONG_TEXT,
  nameRefusal,
  Tally,
} from "../support/fuzz.ts";

const RUNS = 1500;

/** What parses a text, valid texts, and what formats it back. */
interface TextParser {
  readonly parse: (text: string) => unknown;
  readonly valid: readonly string[];
  readonly format?: (value: never) => string;
}

const ADDRESSES = ["0.0.0.0", "172.16.255.1", "255.255.255.255", "::", "::1"]
  .concat("2001:db8::7", "fe80::1:2:3:4", "::192.0.2.1", "1:2:3:4:5:6:7:8");
const PREFIXES = ["0.0.0.0/0", "172.16.0.0/12", "192.0.2.7/32", "::/0"]
  .concat("fd00::/48", "2001:db8:0:1::/64");
const NAMES = ["node1", "a", "a.b-c_d", "host-1.example.org", "x".repeat(253)];
const PATHS = ["/", "/run/stellar-net/agent.sock", "/var/run/netns/a b", "a/b"];
const QUEUE_ENTRY = encodeQueueEntry({
  owner: { network: "n", containerId: "c1", interfaceName: "eth0" },
  requestedAtMs: 1_790_000_000_000,
});
const MANIFEST = formatManifest({
  version: "0.1.0",
  choices: { prefix: "/usr/local", pluginDir: null },
  entries: [{ path: "/usr/local/bin/stellar-net", sha256: "00" }],
  folders: ["/etc/stellar-net"],
});

const PARSERS: Readonly<Record<string, TextParser>> = {
  parseAddress: {
    parse: parseAddress,
    valid: ADDRESSES,
    format: formatAddress,
  },
  parsePrefix: { parse: parsePrefix, valid: PREFIXES, format: formatPrefix },
  parseInterfaceAddress: {
    parse: parseInterfaceAddress,
    valid: [...PREFIXES, "172.16.0.1/22"],
  },
  parseNetwork: { parse: parseNetwork, valid: PREFIXES, format: formatPrefix },
  parseNodeName: name(names.parseNodeName, NAMES),
  parseNetworkName: name(names.parseNetworkName, NAMES),
  parseContainerId: name(names.parseContainerId, ["a1b2", "k8s://ns/pod"]),
  parseInterfaceName: name(names.parseInterfaceName, ["eth0", "br-1.2", "ä"]),
  parseText: name(names.parseText, ["", "for the printers, 2nd floor"]),
  parseId: name(names.parseId, ["6f1d9a0e-0d0c-4c55-9a39-0a8d0a6d1f3b"]),
  parseApiUrl: name(names.parseApiUrl, ["http://h:1", "https://[::1]:9000"]),
  "parsePath of names": name(names.parsePath, PATHS),
  parseBridgeName: name(parseBridgeName, ["br0", "stellar-net0"]),
  parsePath: name(flags.parsePath, PATHS),
  parseSocketPath: name(flags.parseSocketPath, PATHS),
  parseListen: {
    parse: parseListen,
    valid: ["127.0.0.1:9000", "[::1]:0", "[2001:db8::1]:65535"],
    format: formatListen,
  },
  parseDuration: {
    parse: flags.parseDuration,
    valid: ["0s", "500ms", "60s", "24h", "36500d"],
    format: (ms: number) => `${ms}ms`,
  },
  parseTimeout: { parse: flags.parseTimeout, valid: ["1ms", "1d"] },
  parseReclaim: { parse: flags.parseReclaim, valid: ["1m", "24h"] },
  parseAdvertised: {
    parse: flags.parseAdvertised,
    valid: ADDRESSES,
    format: formatAddress,
  },
  parseAddressText: name(flags.parseAddressText, ADDRESSES),
  parsePrefixText: name(flags.parsePrefixText, PREFIXES),
  parseInteger: {
    parse: flags.parseInteger(5, 4096),
    valid: ["5", "83", "4096"],
    format: String,
  },
  parseChoice: name(flags.parseChoice(["auto", "off"]), ["auto", "off"]),
  parseSwitch: {
    parse: flags.parseSwitch,
    valid: ["true", "0"],
    format: String,
  },
  parseRouteProtocol: {
    parse: parseRouteProtocol,
    valid: ["83", "255"],
    format: String,
  },
  parseStore: {
    parse: parseStore,
    valid: ["kv:", "kv::memory:", "etcd://h1:2379,h2:2379/prefix"]
      .concat("etcds://[2001:db8::1]:2379/a/b", "etcd://192.0.2.1"),
  },
  parseCniArgs: {
    parse: parseCniArgs,
    valid: ["", "IP=10.1.2.10/24", "IgnoreUnknown=1;K8S_POD=a;IP=::2,::3"],
  },
  parseInvocation: {
    parse: (text) => parseInvocation((variable) => variableOf(text, variable)),
    valid: [
      "CNI_COMMAND=ADD\nCNI_CONTAINERID=c\nCNI_IFNAME=eth0\nCNI_NETNS=/n",
      "CNI_COMMAND=GC",
    ],
  },
  decodeQueueEntry: {
    parse: decodeQueueEntry,
    valid: [QUEUE_ENTRY],
    format: encodeQueueEntry,
  },
  parseEnvironment: {
    parse: parseEnvironment,
    valid: ["# agent\nSTELLAR_NET_NODE=node1\n\nSTELLAR_NET_LISTEN='a b'\n"],
  },
  parseManifest: {
    parse: (text) => parseManifest(text, "/etc/manifest.json"),
    valid: [MANIFEST],
    format: formatManifest,
  },
};

/** A parser that gives the text itself, or its canonical form. */
function name(
  parse: (text: string) => string,
  valid: readonly string[],
): TextParser {
  return { parse, valid, format: String };
}

function variableOf(text: string, variable: string): string | undefined {
  const line = text.split("\n").find((line) => line.startsWith(`${variable}=`));
  return line?.slice(variable.length + 1);
}

Deno.test("parsers of texts give a value or refuse, whatever comes", async (t) => {
  for (const [name, parser] of Object.entries(PARSERS)) {
    await t.step(name, () => {
      const tally = new Tally(name);
      checkFuzz(fuzzedText(parser.valid), RUNS, (text) => {
        tally.add(tryText(parser, text));
      });
      tally.print();
      assert.ok(tally.total >= RUNS);
    });
  }
});

/** Parses a text, and again what it formats to. Returns what came of it. */
function tryText({ parse, format }: TextParser, text: string): string {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    assert.doesNotMatch((error as Error).message, /[\p{Cc}\p{Bidi_Control}]/u);
    return nameRefusal(error);
  }
  if (format) assert.deepEqual(parse(format(value as never)), value);
  return "parsed";
}

/** What makes patterns with two ways to match slow. */
const PUMPS = ["1", "a", "0.", "a.", "-", "a-", ":", "0:", ",", "/", "/a", "="]
  .concat(";", " ", "\t", '"', "\\", '"\\', "[", "::", "a=", "a=;", "%", "\n")
  .concat("{", "[[", '{"a":', "h:1,", "\0", "\ud83d\ude00");

Deno.test("parsers of texts take no longer than a text's length asks for", async (t) => {
  for (const [name, { parse, valid }] of Object.entries(PARSERS)) {
    await t.step(name, () => {
      for (const pump of PUMPS) {
        const long = pump.repeat(Math.ceil(LONG_TEXT / pump.length));
        for (const start of ["", ...valid.slice(0, 3)]) {
          for (const text of [start + long, `${start}${long}\n!`]) {
            const run = () => void outcomeOf(() => parse(text));
            assertQuick(run, `${start} ${pump}`);
          }
        }
      }
    });
  }
});

function outcomeOf(parse: () => unknown): string {
  try {
    parse();
    return "parsed";
  } catch (error) {
    return nameRefusal(error);
  }
}
