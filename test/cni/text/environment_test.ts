import assert from "node:assert/strict";
import { parseInvocation } from "../../../src/cni/text/environment.ts";
import { assertRefuses } from "./refusals.ts";

const CONTAINER = {
  CNI_CONTAINERID: "c1",
  CNI_IFNAME: "eth0",
  CNI_NETNS: "/run/netns/c1",
};

Deno.test("parseInvocation() reads the variables that a command needs", async (t) => {
  const rows: readonly [verb: string, env: Record<string, string>][] = [
    ["ADD", CONTAINER],
    ["CHECK", CONTAINER],
    ["DEL", { CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0" }],
    ["GC", {}],
    ["STATUS", {}],
    ["VERSION", {}],
  ];
  for (const [verb, env] of rows) {
    await t.step(verb, () => {
      const variables = { ...env, CNI_COMMAND: verb };
      assert.deepEqual(
        parseInvocation((name) => variables[name as keyof typeof variables]),
        {
          verb,
          containerId: env.CNI_CONTAINERID ?? "",
          interfaceName: env.CNI_IFNAME ?? "",
          netns: env.CNI_NETNS ?? "",
          args: "",
        },
      );
    });
  }
});

Deno.test("parseInvocation() refuses what is missing or not valid, naming it", async (t) => {
  const all = "CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS are missing or empty";
  const rows: readonly [env: Record<string, string>, text: string][] = [
    [{}, 'CNI_COMMAND: "" is none of ADD, DEL, CHECK, GC, STATUS, VERSION'],
    [{ CNI_COMMAND: "" }, 'CNI_COMMAND: "" is none of'],
    [{ CNI_COMMAND: "FROB" }, 'CNI_COMMAND: "FROB" is none of'],
    [{ CNI_COMMAND: "add" }, 'CNI_COMMAND: "add" is none of'],
    [{ CNI_COMMAND: "toString" }, 'CNI_COMMAND: "toString" is none of'],
    [{ CNI_COMMAND: "ADD" }, `Cannot ADD: ${all}`],
    [{ CNI_COMMAND: "CHECK" }, `Cannot CHECK: ${all}`],
    [
      { CNI_COMMAND: "DEL" },
      "Cannot DEL: CNI_CONTAINERID, CNI_IFNAME are missing",
    ],
    [
      { CNI_COMMAND: "ADD", ...CONTAINER, CNI_NETNS: "" },
      "Cannot ADD: CNI_NETNS is missing or empty",
    ],
    ...["bad/id", "-a", "x".repeat(254), "a b"].map((
      id,
    ): [Record<string, string>, string] => [
      { CNI_COMMAND: "ADD", ...CONTAINER, CNI_CONTAINERID: id },
      "Invalid variable CNI_CONTAINERID",
    ]),
    ...["a".repeat(17), ".", "..", "a/b", "a:b", "a b"].map((
      name,
    ): [Record<string, string>, string] => [
      { CNI_COMMAND: "DEL", ...CONTAINER, CNI_IFNAME: name },
      "Invalid variable CNI_IFNAME",
    ]),
  ];
  for (const [env, text] of rows) {
    await t.step(JSON.stringify(env).slice(0, 100), () => {
      assertRefuses(
        () => parseInvocation((name) => env[name]),
        "invalid_environment",
        text,
      );
    });
  }
});

Deno.test("parseInvocation() names a variable that is not UTF-8", () => {
  assertRefuses(
    () =>
      parseInvocation((name) => {
        if (name === "CNI_ARGS") throw new TypeError("not unicode");
        return name === "CNI_COMMAND" ? "VERSION" : undefined;
      }),
    "invalid_environment",
    "Invalid variable CNI_ARGS: it is not UTF-8",
  );
});
