import assert from "node:assert/strict";
import { parseCniArgs } from "../../../src/cni/text/cni_args.ts";
import { assertRefuses } from "./refusals.ts";

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
