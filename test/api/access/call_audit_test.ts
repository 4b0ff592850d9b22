import assert from "node:assert/strict";
import { NetError } from "../../../src/base/error.ts";
import { CallAudit } from "../../../src/api/access/call_audit.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";

/** A call that is refused to somebody without a certificate. */
function refusedTo(address: string) {
  return {
    method: RegistryService.method.removeNode,
    request: {},
    caller: { kind: "anonymous" as const, address },
    permission: { subject: [], isFrequent: false } as never,
  };
}

Deno.test("CallAudit counts the failures of the last 1,024 callers", async () => {
  const recorded: string[] = [];
  const audit = new CallAudit({
    audit: { record: ({ from }) => Promise.resolve(void recorded.push(from)) },
    now: () => 0,
  });
  const error = new NetError("permission_denied", "no");
  const refuse = (address: string) => audit.refused(refusedTo(address), error);
  // One has failed too often to be recorded, and stays so among 1,023 others.
  for (let i = 0; i < 21; i++) await refuse("198.18.0.1");
  for (let i = 1; i < 1_024; i++) await refuse(`198.19.0.${i}`);
  await refuse("198.18.0.1");
  assert.equal(recorded.filter((from) => from === "198.18.0.1").length, 20);
  // Another 1,024 push it out.
  for (let i = 1; i <= 1_024; i++) await refuse(`198.20.0.${i}`);
  await refuse("198.18.0.1");
  assert.equal(recorded.filter((from) => from === "198.18.0.1").length, 21);
});
