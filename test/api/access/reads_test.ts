import assert from "node:assert/strict";
import { PERMISSIONS } from "../../../src/api/access/permissions.ts";
import { isRead } from "../../../src/api/access/reads.ts";
import { SERVICES } from "../../../src/ui/forward.ts";

/** Calls that a read-only caller may make and that are no plain reads, with the reason. */
const NO_READS: ReadonlyMap<string, string> = new Map([
  ["AgentService/Examine", "it sends packets to peers and containers"],
  ["AgentService/ExamineAll", "it sends packets to peers and containers"],
  ["IdentityService/RenewCertificate", "it issues a certificate"],
]);

const calls = SERVICES.flatMap(({ typeName, methods }) =>
  methods.map((method) => ({
    name: `${typeName}/${method.name}`.replace("stellar.net.v1.", ""),
    permission: PERMISSIONS.get(`${typeName}/${method.name}`)!,
    isRead: isRead(method),
  }))
);

Deno.test("isRead() is true for no call that the audit records, or that a read-only caller may not make", () => {
  const wrong = calls.filter(({ isRead, permission }) =>
    isRead && (permission.changes || permission.rules.readonly !== "yes")
  );
  assert.deepEqual(wrong, []);
});

Deno.test("isRead() is true for all other calls of a read-only caller", () => {
  const others = calls.filter(({ isRead, permission }) =>
    !isRead && permission.rules.readonly === "yes"
  );
  assert.deepEqual(others.map(({ name }) => name), [...NO_READS.keys()]);
});
