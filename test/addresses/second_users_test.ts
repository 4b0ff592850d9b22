import assert from "node:assert/strict";
import type { Allocator } from "../../src/addresses/allocator.ts";
import { SecondUsers } from "../../src/addresses/second_users.ts";

Deno.test("SecondUsers.check() wakes neighbours, and reads none where no address is held", async () => {
  let woken = 0;
  const fail = () => Promise.reject(new Error("it was called"));
  const users = new SecondUsers({
    wake: () => Promise.resolve(void woken++),
    ...{
      find: fail,
      portOf: fail,
      findMac: fail,
      staysInUse: fail,
      isInUse: fail,
      remember: () => {},
    },
  });
  const allocator = { select: () => Promise.resolve([]) };
  await users.check(allocator as unknown as Allocator, []);
  assert.equal(woken, 1);
  assert.deepEqual(users.warnings, []);
});
