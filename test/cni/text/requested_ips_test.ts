import assert from "node:assert/strict";
import {
  parseCniArgs,
  parseRequestedIps,
} from "../../../src/cni/text/requested_ips.ts";
import { assertRefuses } from "./refusals.ts";

const ARGS = { args: { cni: { ips: ["10.0.0.2", "fd00::2/64"] } } };
const RUNTIME = { runtimeConfig: { ips: ["10.0.0.3/24"] } };

Deno.test("parseRequestedIps() takes the first of the three ways that names one", async (t) => {
  const rows: readonly [
    config: Record<string, unknown>,
    args: string,
    ips: readonly string[],
  ][] = [
    [{}, "", []],
    [RUNTIME, "", ["10.0.0.3"]],
    [{ ...RUNTIME, ...ARGS }, "", ["10.0.0.2", "fd00::2"]],
    [{ ...RUNTIME, ...ARGS }, "IP=10.0.0.1/8", ["10.0.0.1"]],
    [{ ...RUNTIME, args: { cni: { ips: [] } } }, "", ["10.0.0.3"]],
    [{ args: { other: 1 }, runtimeConfig: { portMappings: [] } }, "", []],
    [{ args: null, runtimeConfig: null }, "IP=", []],
  ];
  for (const [config, args, ips] of rows) {
    await t.step(`${args} ${JSON.stringify(config)}`, () => {
      assert.deepEqual(parseRequestedIps(config, args), ips);
    });
  }
});

Deno.test("parseRequestedIps() refuses what is no address, wherever it stands", async (t) => {
  const rows: readonly [config: Record<string, unknown>, text: string][] = [
    [{ args: 1 }, '"args": 1 is not an object'],
    [{ args: { cni: [] } }, '"args.cni": a list is not an object'],
    [{ args: { cni: { ips: "10.0.0.2" } } }, '"args.cni.ips": "10.0.0.2" is'],
    [{ args: { cni: { ips: [1] } } }, '"args.cni.ips[0]": 1 is not a string'],
    [{ args: { cni: { ips: ["x"] } } }, '"args.cni.ips[0]": "x" is not an'],
    [{ runtimeConfig: { ips: ["1.2.3.4", ""] } }, '"runtimeConfig.ips[1]": ""'],
    [{ runtimeConfig: { ips: ["1.2.3.4/33"] } }, '"1.2.3.4/33" is not an'],
    [{ ...ARGS, runtimeConfig: { ips: ["01.2.3.4"] } }, '"01.2.3.4" is not an'],
  ];
  for (const [config, text] of rows) {
    await t.step(JSON.stringify(config), () => {
      assertRefuses(
        () => parseRequestedIps(config, ""),
        "invalid_config",
        text,
      );
    });
  }
  for (
    const args of ["IP=x", "IP=1.2.3.4,", "IP=1.2.3.4 ", "IP=::ffff:1.2.3.4"]
  ) {
    await t.step(args, () => {
      assertRefuses(
        () => parseRequestedIps({}, args),
        "invalid_environment",
        "Invalid variable CNI_ARGS",
      );
    });
  }
});

Deno.test("parseCniArgs() reads the addresses that are asked for", async (t) => {
  const rows: readonly [text: string, ips: readonly string[]][] = [
    ["", []],
    ["IP=10.1.2.10", ["10.1.2.10"]],
    ["IP=10.1.2.10/24", ["10.1.2.10/24"]],
    ["IP=10.1.2.10,fd00::a", ["10.1.2.10", "fd00::a"]],
    ["IP=", []],
    ["FOO=1;IgnoreUnknown=1", []],
    ["IgnoreUnknown=true;FOO=1;IP=10.1.2.10", ["10.1.2.10"]],
    ["IgnoreUnknown=TRUE;FOO=", []],
    [
      "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c",
      [],
    ],
    ["IgnoreUnknown=0", []],
  ];
  for (const [text, ips] of rows) {
    await t.step(JSON.stringify(text), () => {
      assert.deepEqual(parseCniArgs(text), ips);
    });
  }
});

Deno.test("parseCniArgs() refuses unknown keys and malformed pairs", async (t) => {
  const rows: readonly [text: string, message: string][] = [
    ["FOO=1", 'CNI_ARGS: "FOO" is not known: leave it out'],
    ["FOO=1;BAR=2", '"FOO", "BAR" are not known'],
    ["FOO=1;IgnoreUnknown=0", '"FOO" is not known'],
    ["ip=10.1.2.10", '"ip" is not known'],
    ["FOO=1;IgnoreUnknown=yes", '"yes" for IgnoreUnknown is none of 1, true'],
    ["FOO", '"FOO" is not KEY=VALUE'],
    ["IP=1=2", '"IP=1=2" is not KEY=VALUE'],
    ["=1", '"=1" is not KEY=VALUE'],
    ["IP=10.1.2.10;", '"" is not KEY=VALUE'],
    ["IP=10.1.2.10;IP=10.1.2.11", '"IP" is there twice'],
    ["\x1b[31m=1", '"\\u001b[31m" is not known'],
  ];
  for (const [text, message] of rows) {
    await t.step(JSON.stringify(text), () => {
      assertRefuses(() => parseCniArgs(text), "invalid_environment", message);
    });
  }
});
