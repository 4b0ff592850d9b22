import assert from "node:assert/strict";
import { join } from "node:path";
import { CNI_ERRORS } from "../../../src/cni/text/errors.ts";
import { QUEUE_LIMIT } from "../../../src/cni/text/queue_entry.ts";
import { CNI_VERSIONS } from "../../../src/cni/text/version.ts";
import { VERBS } from "../../../src/cni/text/environment.ts";
import { ROOT } from "../../generate.ts";

const KEYS = [
  "cniVersion",
  "name",
  "ipam.type",
  "ipam.socket",
  "ipam.timeout",
  "ipam.queue",
  "ipam.routes",
  "ipam.dns",
  "ipam.node_name",
  "ipam.peer_addr",
  "dns",
  "args.cni.ips",
  "runtimeConfig.ips",
  "prevResult",
  "cni.dev/valid-attachments",
];

Deno.test("docs/cni.md tells every code, key, command and version", async (t) => {
  const page = await Deno.readTextFile(join(ROOT, "docs/cni.md"));
  for (const { code, meaning } of Object.values(CNI_ERRORS)) {
    await t.step(`code ${code}`, () => {
      const row = page.split("\n").map((line) => line.split(/\s*\|\s*/))
        .find((cells) => cells[1] === String(code));
      assert.equal(row?.[2], meaning);
    });
  }
  for (const key of KEYS) {
    await t.step(`key ${key}`, () => assert.ok(page.includes(`\`${key}\``)));
  }
  for (const [verb, { since }] of Object.entries(VERBS)) {
    await t.step(`command ${verb}`, () => {
      const version = since === "0.1.0" ? "" : ` (from ${since})`;
      assert.ok(page.includes(`- **${verb}**${version} `));
    });
  }
  await t.step("versions and limits", () => {
    const [last, ...others] = [...CNI_VERSIONS].reverse();
    const list = `${others.reverse().join(", ")} or ${last}`;
    assert.ok(page.includes(list), list);
    assert.ok(page.includes(QUEUE_LIMIT.toLocaleString("en-US")));
  });
});
