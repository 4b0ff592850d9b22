import assert from "node:assert/strict";
import { checkConfigured } from "../../src/host/controller.ts";
import { parsePrefix } from "../../src/net/prefix.ts";

const OWN = parsePrefix("172.16.4.0/22");

Deno.test("checkConfigured() takes the node's own subnet and gateway", () => {
  checkConfigured(OWN, { subnet: OWN, gateway: "172.16.4.1" });
});

const ROWS: readonly (readonly [
  name: string,
  own: typeof OWN | undefined,
  subnet: string,
  gateway: string,
  message: RegExp,
])[] = [
  [
    "another subnet",
    OWN,
    "172.16.0.0/22",
    "172.16.0.1",
    /"subnet\.cidr": "172\.16\.0\.0\/22" is not .*"172\.16\.4\.0\/22"$/,
  ],
  [
    "another length",
    OWN,
    "172.16.4.0/23",
    "172.16.4.1",
    /"subnet\.cidr": "172\.16\.4\.0\/23" is not/,
  ],
  [
    "another gateway",
    OWN,
    "172.16.4.0/22",
    "172.16.4.2",
    /"subnet\.gateway": "172\.16\.4\.2" is not .*"172\.16\.4\.1"$/,
  ],
  ["a node without one", undefined, "172.16.4.0/22", "172.16.4.1", /has none$/],
];

for (const [name, own, subnet, gateway, message] of ROWS) {
  Deno.test(`checkConfigured() refuses ${name}`, () => {
    assert.throws(
      () => checkConfigured(own, { subnet: parsePrefix(subnet), gateway }),
      { code: "invalid_argument", message },
    );
  });
}
