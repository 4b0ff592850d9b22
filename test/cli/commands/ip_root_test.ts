import { Code, ConnectError } from "@connectrpc/connect";
import assert from "node:assert/strict";
import { type Handlers, runFake } from "../fake_io.ts";

Deno.test("ip commands print the agent's refusal, and exit with 1", async (t) => {
  const message = 'address "172.16.0.9" is held by "db-1"';
  const fail = () => {
    throw new ConnectError(message, Code.AlreadyExists);
  };
  const ipam: Handlers["ipam"] = {
    allocate: fail,
    release: fail,
    getAllocation: fail,
    listAllocations: fail,
    listHistory: fail,
  };
  const rows: readonly [args: string, action: string][] = [
    ["allocate c1", "allocate an address"],
    ["release c1", "release the addresses"],
    ["get c1", "look up the addresses"],
    ["list", "list addresses"],
    ["history", "list the history"],
  ];
  for (const [args, action] of rows) {
    await t.step(args, async () => {
      const run = await runFake(["ip", ...args.split(" ")], { ipam });
      assert.deepEqual([run.code, run.stdout], [1, ""]);
      assert.equal(run.stderr, `stellar-net: Cannot ${action}: ${message}\n`);
    });
  }
});

Deno.test("ip commands escape text from the agent", async (t) => {
  const evil = "a\x1b]0;x\x07\nb\u202e";
  const ipam: Handlers["ipam"] = {
    listAllocations: () => ({
      allocations: [{
        owner: { containerId: evil },
        addresses: [{ address: "172.16.0.2" }],
      }],
    }),
    release: () => ({ addresses: [evil] }),
    getAllocation: () => {
      throw new ConnectError(evil, Code.NotFound);
    },
  };
  for (const args of ["list", "list --json", "release c1", "get c1"]) {
    await t.step(args, async () => {
      const run = await runFake(["ip", ...args.split(" ")], { ipam });
      const text = run.stdout + run.stderr;
      assert.match(text, /a\\u001b\]0;x\\u0007(?:\\n|\\u000a)b\\u202e/);
      assert.doesNotMatch(text, /[^\P{Cc}\n]|\u202e/u);
    });
  }
});
