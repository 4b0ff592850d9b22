import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import type {
  EnrolmentRequest,
  SigningOrder,
} from "../../src/security/certificate_source.ts";
import { Operators } from "../../src/security/operators.ts";
import type { Credentials } from "../../src/security/trust.ts";
import { trustOf } from "./signed_trusts.ts";
import { issueCertificate } from "../../src/security/pki/certificate.ts";
import { readSigningRequest } from "../../src/security/pki/signing_request.ts";
import { createToken } from "../../src/security/pki/token.ts";
import {
  createIdentity,
  createTestAuthority,
  NOW_MS,
} from "./pki/identities.ts";
import { MemoryIdentityFiles } from "./memory_identity_files.ts";

const DAY_MS = 86_400_000;
const LIFE_MS = 30 * DAY_MS;

/** Operators of a cluster with agents, of which some are away. */
async function openOperators() {
  const test = await createTestAuthority();
  const { authority, record } = test;
  const clock = { nowMs: NOW_MS };
  const folders = new Map<string, MemoryIdentityFiles>();
  const away = new Set<string>();
  const enrolled: (readonly [url: string, order: EnrolmentRequest])[] = [];
  const certify = (
    { signingRequest }: SigningOrder,
  ): Promise<Credentials> => {
    const { chain } = issueCertificate(authority, {
      request: readSigningRequest(signingRequest),
      role: "operator",
      name: "alice",
      addresses: [],
      dnsNames: [],
      nowMs: clock.nowMs,
      lifetimeMs: LIFE_MS,
    });
    return Promise.resolve({ chain, trust: trustOf([record]) });
  };
  const token = createToken(record.fingerprint);
  const operators = new Operators({
    openFiles: (dir) => {
      const files = folders.get(dir) ?? new MemoryIdentityFiles();
      folders.set(dir, files);
      return files;
    },
    readToken: () => Promise.resolve(token),
    enrol(url, order) {
      enrolled.push([url, order]);
      if (!away.has(url)) return certify(order);
      const error = new NetError("unavailable", `Cannot reach ${url}`);
      return Promise.reject(error);
    },
    renew: (_, urls, { order }) => {
      assert.ok(urls.length > 0);
      return certify(order);
    },
    now: () => clock.nowMs,
  });
  const order = {
    dir: "d",
    urls: ["https://h1:9000", "https://h2:9000"],
    tokenPath: "t",
    name: "alice",
    timeoutMs: 1_000,
  };
  return { test, operators, folders, away, enrolled, clock, order };
}

Deno.test("Operators makes an identity with the first agent that is there", async () => {
  const { operators, folders, away, enrolled, order } = await openOperators();
  away.add("https://h1:9000");
  const made = await operators.create(order);
  assert.deepEqual(
    [made.role, made.name, made.clusterId, made.notAfterMs, made.urls],
    ["operator", "alice", "c1", NOW_MS + LIFE_MS, order.urls],
  );
  assert.deepEqual(await operators.show("d"), made);
  assert.deepEqual(enrolled.map(([url]) => url), order.urls);
  const texts = folders.get("d")!.texts;
  assert.deepEqual(
    [...texts.keys()].sort(),
    ["ca.pem", "chain.pem", "key.pem", "trust.json", "urls"],
  );
  // The key is in its file alone.
  for (const [file, text] of texts) {
    assert.equal(text.includes("PRIVATE KEY"), file === "key.pem", file);
  }
});

Deno.test("Operators tries again with the same key, and leaves an identity that is there", async () => {
  const { operators, folders, away, enrolled, order } = await openOperators();
  for (const url of order.urls) away.add(url);
  await assert.rejects(operators.create(order), {
    code: "unavailable",
    message: "Cannot reach https://h1:9000; Cannot reach https://h2:9000",
  });
  const key = folders.get("d")!.texts.get("key.pem");
  await assert.rejects(operators.show("d"), {
    message:
      'Cannot use "d": there is no identity in it; name the folder that stellar-net identity create has made',
  });
  away.clear();
  const made = await operators.create(order);
  assert.equal(folders.get("d")!.texts.get("key.pem"), key);
  const count = enrolled.length;
  await assert.rejects(operators.create(order), {
    code: "failed_precondition",
    message:
      'Cannot make an identity in "d": there is one already; name another folder',
  });
  assert.equal(enrolled.length, count);
  assert.deepEqual(await operators.show("d"), made);
});

Deno.test("Operators renews an identity, and says when one has ended", async () => {
  const { operators, clock, order } = await openOperators();
  const { serial } = await operators.create(order);
  const identity = await operators.open("d");
  const rows: readonly [days: number, isDue: boolean][] = [
    [19, false],
    [21, true],
    [29, true],
  ];
  for (const [days, isDue] of rows) {
    clock.nowMs = NOW_MS + days * DAY_MS;
    assert.equal(identity.isDue, isDue, `after ${days} days`);
    identity.checkTime();
  }
  const renewed = await operators.renew("d", { timeoutMs: 1_000 });
  assert.notEqual(renewed.serial, serial);
  assert.deepEqual(await operators.show("d"), renewed);
  assert.equal((await operators.open("d")).isDue, false);
  clock.nowMs += LIFE_MS;
  await assert.rejects(operators.renew("d", { timeoutMs: 1_000 }), {
    code: "failed_precondition",
    message:
      /^Cannot use the identity of operator "alice" in "\/state\/identity": it was valid until .*; make another one: stellar-net token create --role operator --name alice, then stellar-net identity create$/,
  });
});

Deno.test("Operators names the damaged file and the way out", async () => {
  const { operators, folders, order } = await openOperators();
  await operators.create(order);
  folders.get("d")!.texts.set("trust.json", "{");
  await assert.rejects(operators.show("d"), {
    code: "failed_precondition",
    message:
      /^Cannot use "\/state\/identity\/trust\.json": it is damaged \(.*\); remove "\/state\/identity", and make another identity with a new token: stellar-net identity create$/,
  });
});

Deno.test("OperatorIdentity accepts only nodes of its cluster as agents, and follows the trust of the cluster", async (t) => {
  const { operators, folders, test, order } = await openOperators();
  await operators.create(order);
  const identity = await operators.open("d");
  const kindOf = async (terms: Parameters<typeof createIdentity>[1]) => {
    const { der } = await createIdentity(test, { nowMs: NOW_MS, ...terms });
    return identity.recognize({ der, usage: "server" }).kind;
  };
  await t.step("a node", async () => {
    assert.equal(await kindOf({ name: "n1" }), "member");
  });
  await t.step("another operator", async () => {
    assert.equal(await kindOf({ role: "operator", name: "eve" }), "refused");
  });
  await t.step("a node of another cluster", async () => {
    const other = await createTestAuthority({ clusterId: "c2" });
    const { der } = await createIdentity(other, { nowMs: NOW_MS });
    assert.equal(
      identity.recognize({ der, usage: "server" }).kind,
      "refused",
    );
  });
  await t.step("a node that was revoked since", async () => {
    await identity.takeTrust(trustOf([test.record], [{
      ...{ kind: "name", role: "node", name: "n1", reason: "" },
      ...{ issuedUpToMs: NOW_MS, revokedAtMs: NOW_MS },
      untilMs: NOW_MS + DAY_MS,
    }]));
    assert.equal(await kindOf({ name: "n1" }), "refused");
    assert.match(folders.get("d")!.texts.get("trust.json")!, /"n1"/);
  });
});

Deno.test("Operators asks for the identity of a person, whatever the token is for", async () => {
  const { operators, enrolled, order } = await openOperators();
  await operators.create(order);
  assert.deepEqual(enrolled.map(([, { roles }]) => roles), [
    ["operator", "readonly"],
  ]);
});
