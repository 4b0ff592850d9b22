import assert from "node:assert/strict";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type FinishJoinRequestSchema,
  IdentityService,
  Role,
  TokenState,
} from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { createKey } from "../../../src/security/pki/key.ts";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import type { PeerIdentity } from "../../../src/security/pki/identity.ts";
import { parsePem } from "../../../src/security/pki/pem.ts";
import { createSigningRequest } from "../../../src/security/pki/signing_request.ts";
import { parseToken } from "../../../src/security/pki/token.ts";
import {
  createNonce,
  proveToken,
  signingRequestDigest,
} from "../../../src/security/pki/token_proof.ts";
import {
  CALLER,
  type Caller,
  SERVER_FINGERPRINT,
} from "../../../src/api/access/call_context.ts";
import { readTrust } from "../../../src/api/messages/identity.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createIdentity } from "../../../src/api/services/identity.ts";
import { startAgent, type TestAgent } from "../../agent/agents.ts";
import { SERVER } from "../../security/registries.ts";

const NOBODY: Caller = { kind: "anonymous", address: "198.18.0.9" };

/** The service of an agent, and its caller. */
interface Service {
  readonly t: TestAgent;
  readonly client: Client<typeof IdentityService>;
  caller: Caller;
}

async function withService(
  body: (service: Service) => Promise<void>,
): Promise<void> {
  await using t = await startAgent({ now: Date.now });
  const identify: Interceptor = (next) => (request) => {
    request.contextValues.set(CALLER, service.caller);
    request.contextValues.set(SERVER_FINGERPRINT, SERVER);
    return next(request);
  };
  const transport = createRouterTransport(
    (router) => {
      router.service(
        IdentityService,
        createIdentity(() => t.agent.requireHost()),
      );
    },
    { router: { interceptors: [answerCalls({}), identify] } },
  );
  const client = createClient(IdentityService, transport);
  const service: Service = { t, client, caller: NOBODY };
  await body(service);
}

/** All of a join but its last call, over the API. */
async function prove(
  client: Service["client"],
  secret: string,
  name: string,
): Promise<MessageInitShape<typeof FinishJoinRequestSchema>> {
  const token = parseToken(secret);
  const signingRequest = createSigningRequest(createKey());
  const { salt, serverNonce } = await client.beginJoin({ tokenId: token.id });
  const sent = { tokenId: token.id, name, serverNonce };
  const transcript = {
    ...sent,
    clientNonce: createNonce(),
    requestDigest: signingRequestDigest(signingRequest),
    serverFingerprint: SERVER,
  };
  return {
    ...sent,
    clientNonce: transcript.clientNonce,
    proof: proveToken(token, { salt, transcript }),
    signingRequest,
  };
}

function identityIn(chain: string | undefined): PeerIdentity {
  return readIdentity(parsePem("CERTIFICATE", chain ?? "")[0]!);
}

Deno.test("createIdentity() admits a host with a token, and renews the caller's certificate", () =>
  withService(async (service) => {
    const { client, t } = service;
    const { secret, token } = await client.createToken({});
    assert.equal(token?.role, Role.NODE);
    assert.equal(token?.maxUses, 1);
    const lifetime = token!.expiresAt!.seconds - token!.createdAt!.seconds;
    assert.equal(lifetime, 3600n);
    const join = await prove(client, secret, "host2");
    const { credentials } = await client.finishJoin({
      ...join,
      addresses: ["198.18.0.2", "2001:db8::2"],
    });
    const identity = identityIn(credentials?.chain);
    assert.equal(identity.name, "host2");
    const known = t.agent.host!.identity.knownTrust;
    assert.deepEqual(readTrust(credentials!.trust!), known);

    const signingRequest = createSigningRequest(createKey());
    service.caller = { kind: "member", identity, address: "198.18.0.2" };
    const renewed = await client.renewCertificate({ signingRequest });
    assert.equal(identityIn(renewed.credentials?.chain).name, "host2");
    const why = "Cannot accept the certificate: it has ended";
    const address = "198.18.0.2";
    const expired = { ...identity, notAfterMs: Date.now() };
    service.caller = { kind: "refused", why, expired, address };
    await assert.rejects(client.renewCertificate({ signingRequest }), {
      code: Code.PermissionDenied,
      rawMessage: /has no node of that name any more/,
    });
    service.caller = { kind: "refused", why, address };
    await assert.rejects(client.renewCertificate({ signingRequest }), {
      code: Code.Unauthenticated,
      rawMessage: why,
    });
    service.caller = { kind: "socket" };
    await assert.rejects(client.renewCertificate({ signingRequest }), {
      code: Code.Unauthenticated,
      rawMessage: /the caller has shown none/,
    });
    const { tokens } = await client.listTokens({});
    assert.deepEqual(
      tokens.map(({ state, used, uses }) => [state, used, uses[0]?.name]),
      [[TokenState.USED_UP, 1, "host2"]],
    );
  }));

Deno.test("createIdentity() lists, revokes, rotates and returns the trust", () =>
  withService(async ({ client }) => {
    const { secret, token } = await client.createToken({
      role: Role.OPERATOR,
      name: "alice",
      lifetime: { seconds: 60n },
      maxUses: 3,
    });
    await client.finishJoin(await prove(client, secret, "alice"));
    const revoked = await client.revokeToken({ id: token!.id });
    assert.equal(revoked.token?.state, TokenState.REVOKED);
    const { certificates } = await client.listCertificates({});
    assert.deepEqual(
      certificates.map((c) => [c.role, c.name, c.generation, c.revoked]),
      [[Role.OPERATOR, "alice", 1, false]],
    );
    const one = await client.revokeCertificates({
      serial: certificates[0]!.serial.toUpperCase(),
      reason: "left",
    });
    assert.equal(one.revocation?.serial, certificates[0]!.serial);
    const all = await client.revokeCertificates({
      role: Role.OPERATOR,
      name: "alice",
    });
    assert.equal(all.certificates, 1);
    const { next } = await client.rotateAuthority({
      announce: { seconds: 1n, nanos: 500_000_000 },
    });
    assert.equal(next?.generation, 2);
    const trust = readTrust((await client.getTrust({})).trust!);
    assert.equal(trust.authorities.length, 2);
    assert.deepEqual(
      trust.revocations.map(({ kind, reason }) => [kind, reason]),
      [["name", ""], ["serial", "left"]],
    );
    const [first, second] = trust.authorities;
    assert.equal(second!.signsFromMs - first!.signsFromMs > 1500, true);
    const replaced = await client.rotateAuthority({ compromised: true });
    assert.equal(replaced.next?.generation, 3);
  }));

/** What is wrong with a request, and the field that the answer names. */
const BAD: readonly [
  what: string,
  call: (client: Service["client"]) => Promise<unknown>,
  field: string,
][] = [
  ["no token", (c) => c.beginJoin({}), "token_id"],
  ["a whole token", (c) => c.beginJoin({ tokenId: "stn1.x" }), "token_id"],
  [
    "a bad name",
    (c) => c.finishJoin({ tokenId: "0123456789ab", name: "a b" }),
    "name",
  ],
  [
    "a bad address",
    (c) =>
      c.finishJoin({
        tokenId: "0123456789ab",
        name: "a",
        addresses: ["1.2.3"],
      }),
    "addresses",
  ],
  [
    "too many addresses",
    (c) =>
      c.finishJoin({
        tokenId: "0123456789ab",
        name: "a",
        addresses: Array(65).fill("198.18.0.1"),
      }),
    "addresses",
  ],
  [
    "no nonce",
    (c) => c.finishJoin({ tokenId: "0123456789ab", name: "a" }),
    "client_nonce",
  ],
  ["an unknown role", (c) => c.createToken({ role: 9 as Role }), "role"],
  ["a bad name of a token", (c) => c.createToken({ name: "-" }), "name"],
  [
    "a negative lifetime",
    (c) => c.createToken({ lifetime: { seconds: -1n } }),
    "lifetime",
  ],
  ["a bad id", (c) => c.revokeToken({ id: "../x" }), "id"],
  ["nothing to revoke", (c) => c.revokeCertificates({}), "role"],
  [
    "no name to revoke",
    (c) => c.revokeCertificates({ role: Role.NODE }),
    "name",
  ],
  [
    "a bad serial number",
    (c) => c.revokeCertificates({ serial: "xyz" }),
    "serial",
  ],
  [
    "a serial number and a name",
    (c) => c.revokeCertificates({ serial: "00ff", name: "a" }),
    "serial",
  ],
  [
    "a bad reason",
    (c) =>
      c.revokeCertificates({ role: Role.NODE, name: "a", reason: "\x1b[2J" }),
    "reason",
  ],
];

Deno.test("createIdentity() names the field that is wrong", async (t) => {
  await withService(async ({ client }) => {
    for (const [what, call, field] of BAD) {
      await t.step(what, async () => {
        const error = await call(client).then(
          () => assert.fail("it was answered"),
          (error) => ConnectError.from(error),
        );
        assert.equal(error.code, Code.InvalidArgument);
        assert.match(error.rawMessage, new RegExp(`^Invalid field "${field}"`));
      });
    }
  });
});
