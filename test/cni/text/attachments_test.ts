import assert from "node:assert/strict";
import { parseValidAttachments } from "../../../src/cni/text/attachments.ts";
import { assertRefuses } from "./refusals.ts";

const KEY = "cni.dev/valid-attachments";

Deno.test("parseValidAttachments() reads who keeps its addresses", async (t) => {
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
