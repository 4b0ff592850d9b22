import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { RegistryHost } from "../../registry/host.ts";
import { NetError } from "../../base/error.ts";
import {
  CertificateSchema,
  type IdentityService,
  type Role as RoleMessage,
  TokenSchema,
} from "../../gen/stellar/net/v1/identity_pb.ts";
import type { IdentityRegistry } from "../../security/identity_registry.ts";
import type { RevocationTarget } from "../../security/revoking.ts";
import { parseNodeName, parseText } from "../../base/names.ts";
import { type Address, parseAddress } from "../../net/address.ts";
import type { PeerIdentity, Role } from "../../security/pki/identity.ts";
import { parseSerial } from "../../security/pki/revocation.ts";
import { parseTokenId } from "../../security/pki/token.ts";
import { callerOf, SERVER_FINGERPRINT } from "../access/call_context.ts";
import {
  authorityMessage,
  certificateMessage,
  credentialsMessage,
  readRole,
  revocationMessage,
  tokenMessage,
  trustMessage,
} from "../messages/identity.ts";
import {
  invalidField,
  parseDuration,
  parseField,
  parseOptional,
} from "../messages/fields.ts";
import { cutPage } from "../messages/pages.ts";

/** Limit on the addresses of a certificate; a host has fewer. */
const MAX_ADDRESSES = 64;
/** Default lifetime of a join token. */
const TOKEN_LIFETIME_MS = 3600_000;

/**
 * The native service of the cluster's certificate authority, as the registry's
 * host answers it.
 *
 * @param host throws `unavailable` when the registry is elsewhere, or its store is unreachable
 */
export function createIdentity(
  host: () => RegistryHost,
): ServiceImpl<typeof IdentityService> {
  const identity = (): IdentityRegistry => host().requireAuthority();
  return {
    beginJoin: (request) =>
      identity().beginJoin(
        parseField("token_id", request.tokenId, parseTokenId),
      ),

    async finishJoin(request, { values, signal }) {
      const credentials = await identity().finishJoin({
        tokenId: parseField("token_id", request.tokenId, parseTokenId),
        name: parseField("name", request.name, parseNodeName),
        serverNonce: request.serverNonce,
        clientNonce: request.clientNonce,
        proof: request.proof,
        signingRequest: request.signingRequest,
        addresses: parseAddresses(request.addresses),
        roles: request.roles.flatMap((role) => parseRole(role, "roles") ?? []),
        serverFingerprint: values.get(SERVER_FINGERPRINT),
      }, signal);
      return { credentials: credentialsMessage(credentials) };
    },

    async renewCertificate(request, context) {
      const registry = identity();
      const credentials = await registry.renew(holderOf(context), {
        signingRequest: request.signingRequest,
        addresses: parseAddresses(request.addresses),
      }, context.signal);
      return { credentials: credentialsMessage(credentials) };
    },

    async getTrust() {
      return { trust: trustMessage(await identity().trust()) };
    },

    async createToken(request) {
      const { secret, token } = await identity().createToken({
        role: parseRole(request.role) ?? "node",
        name: parseOptional("name", request.name, parseNodeName) ?? "",
        lifetimeMs: parseDuration("lifetime", request.lifetime) ??
          TOKEN_LIFETIME_MS,
        maxUses: request.maxUses === 0 ? 1 : request.maxUses,
      }, { isDryRun: request.validateOnly });
      return {
        // It opens nothing.
        secret: request.validateOnly ? "" : secret,
        token: tokenMessage(token),
      };
    },

    async listTokens(request) {
      const { page, ...rest } = cutPage(
        await identity().listTokens(),
        request,
        {
          schema: TokenSchema,
          message: tokenMessage,
          keyOf: ({ id }) => id,
        },
      );
      return { tokens: page, ...rest };
    },

    async revokeToken(request) {
      const token = await identity().revokeToken(
        parseField("id", request.id, parseTokenId),
        { isDryRun: request.validateOnly },
      );
      return { token: tokenMessage(token) };
    },

    async listCertificates(request) {
      const { page, ...rest } = cutPage(
        await identity().listCertificates(),
        request,
        {
          schema: CertificateSchema,
          message: certificateMessage,
          keyOf: ({ serial }) => serial,
        },
      );
      return { certificates: page, ...rest };
    },

    async revokeCertificates(request) {
      // A given certificate's name can be revoked too.
      const { revocation, certificates } = await host().identity.revoke(
        targetOf(request),
        parseOptional("reason", request.reason, parseText) ?? "",
        { isDryRun: request.validateOnly },
      );
      return { revocation: revocationMessage(revocation), certificates };
    },

    async rotateAuthority(request) {
      const registry = identity();
      const announceMs = parseDuration("announce", request.announce);
      const overlapMs = parseDuration("overlap", request.overlap);
      const next = await registry.rotate({
        ...(announceMs !== undefined && { announceMs }),
        ...(overlapMs !== undefined && { overlapMs }),
        isCompromised: request.compromised,
      }, { isDryRun: request.validateOnly });
      return { next: authorityMessage(next) };
    },
  };
}

/** The holder of the certificate to renew: the caller, never a name in the request. */
function holderOf(context: HandlerContext): PeerIdentity {
  const caller = callerOf(context);
  if (caller.kind === "member") return caller.identity;
  if (caller.kind === "refused" && caller.expired) return caller.expired;
  throw new NetError(
    "unauthenticated",
    caller.kind === "refused"
      ? caller.why
      : "Cannot renew a certificate: the caller has shown none; call over https with the certificate to renew",
  );
}

function targetOf(
  request: {
    readonly serial: string;
    readonly role: RoleMessage;
    readonly name: string;
  },
): RevocationTarget {
  const role = parseRole(request.role);
  if (request.serial === "") {
    if (role === undefined) throw invalidField("role", "it is not set");
    return { role, name: parseField("name", request.name, parseNodeName) };
  }
  if (request.name !== "" || role !== undefined) {
    throw invalidField("serial", "it is set together with a role or a name");
  }
  return { serial: parseField("serial", request.serial, parseSerial) };
}

function parseRole(message: RoleMessage, field = "role"): Role | undefined {
  try {
    return readRole(message);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField(field, error.message, error);
  }
}

function parseAddresses(texts: readonly string[]): Address[] {
  if (texts.length > MAX_ADDRESSES) {
    throw invalidField(
      "addresses",
      `there are ${texts.length} of them, and ${MAX_ADDRESSES} are the most`,
    );
  }
  return texts.map((text) => parseField("addresses", text, parseAddress));
}
