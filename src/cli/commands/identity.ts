import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseApiUrl, parseNodeName, parseText } from "../../base/names.ts";
import { parseSerial } from "../../security/pki/revocation.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import type { Authority } from "../framework/client.ts";
import {
  destructiveFlag,
  fileFlag,
  type Flag,
  type Operand,
  type OptionalOperand,
} from "../framework/flag.ts";
import type { IdentitySummary } from "../framework/io.ts";
import {
  createListing,
  date,
  listCommand,
  readPages,
} from "../framework/list.ts";
import { parseDuration, parsePath } from "../framework/parsers.ts";
import {
  CLIENT_FLAGS,
  IDENTITY,
  JSON_OUTPUT,
  TIMEOUT,
  URL_FLAG,
} from "../framework/target.ts";
import { formatSpan } from "../../base/duration.ts";
import { formatColumns, formatUtc } from "../framework/text.ts";
import { TOKEN_FILE } from "../framework/tls_flags.ts";
import { viewOf, viewTime } from "../framework/view.ts";
import { roleFlag, ROLES } from "./token.ts";

const ANNOUNCE: Flag<number> = {
  name: "announce",
  value: "DURATION",
  description: "how long hosts know the next CA before it signs",
  defaultNote: "30d",
  parse: parseDuration,
};

const OVERLAP: Flag<number> = {
  name: "overlap",
  value: "DURATION",
  description: "how long certificates of the previous CA stay valid after that",
  defaultNote: "the lifetime of certificates plus a day",
  parse: parseDuration,
};

const COMPROMISED = destructiveFlag(
  "compromised",
  "the key may be stolen: reject everything that it signed, at once",
);

const ROTATE: CommandSpec = {
  name: "rotate",
  summary: "Replace the CA that signs certificates, without interruption",
  action: "rotate the CA",
  flags: [ANNOUNCE, OVERLAP, COMPROMISED, ...CLIENT_FLAGS],
  examples: [
    "stellar-net identity rotate",
    "stellar-net identity rotate --announce 30m --overlap 7d",
  ],
  run: async (call) => {
    const announceMs = call.value(ANNOUNCE);
    const overlapMs = call.value(OVERLAP);
    const compromised = call.value(COMPROMISED) ?? false;
    const given = [ANNOUNCE, OVERLAP].find((flag) => call.given(flag));
    if (compromised && given) {
      throw call.usage(
        `${call.originOf(given)} does not go with --compromised, ` +
          "which takes effect at once: remove one of the two",
      );
    }
    const { identity } = call.clients();
    const { next } = await identity.rotateAuthority({
      compromised,
      ...announceMs !== undefined && { announce: durationFromMs(announceMs) },
      ...overlapMs !== undefined && { overlap: durationFromMs(overlapMs) },
    });
    const made = viewAuthority(next!);
    if (compromised) {
      call.answer({ next: made, before: null }, [
        `Created CA ${made.generation}, ${made.fingerprint}: it signs now, and nothing signed before is valid`,
      ]);
      call.note(
        "Every other host joins again with a new token in its --token-file: stellar-net token create; operators create their identities again",
      );
      return;
    }
    const { trust } = await identity.getTrust({});
    const before = trust?.authorities.map(viewAuthority)
      .find(({ generation }) => generation === made.generation - 1);
    call.answer(
      { next: made, before: before ?? null },
      describe(call, made, before),
    );
    call.note(
      "A host that is off until it signs, or an identity not used until then, has to join again with a new token; --announce gives them time",
    );
  },
};

/** The dates of the rotation. */
function describe(
  call: Call,
  next: AuthorityView,
  before: AuthorityView | undefined,
): string[] {
  const now = formatUtc(new Date(call.io.now()).toISOString());
  return [
    `Created CA ${next.generation}, ${next.fingerprint}:`,
    ...formatColumns([
      [`  ${now}`, "hosts learn of it, and trust it from now on"],
      [
        `  ${formatUtc(next.signsFrom)}`,
        "it signs, and hosts renew their certificates by themselves; older tokens admit nobody",
      ],
      ...before
        ? [[
          `  ${formatUtc(before.trustedUntil)}`,
          `certificates of CA ${before.generation} are no longer valid`,
        ]]
        : [],
    ]),
  ];
}

type AuthorityView = ReturnType<typeof viewAuthority>;

/** A CA as `--json` prints it. */
function viewAuthority(message: Authority) {
  const { generation, fingerprint, signsFrom, trustedUntil } = viewOf(message);
  return { generation, fingerprint, signsFrom, trustedUntil };
}

const NEW_DIR: Operand<string> = {
  name: "DIR",
  description: "new folder for the key and the certificate",
  completion: "directory",
  parse: parsePath,
};

const DIR: OptionalOperand<string> = {
  name: "DIR",
  description: "folder of the identity; default: that of --identity",
  completion: "directory",
  optional: true,
  parse: parsePath,
};

const JOIN: Flag<string> = {
  name: "join",
  value: "URL",
  description: "agent that hosts the registry, stored as the agent to call",
  defaultNote: "none, required",
  repeatable: true,
  parse: parseApiUrl,
};

const TOKEN = fileFlag(
  TOKEN_FILE.name,
  "file with an operator's token, mode 0600",
  "none, required",
);

const NAME: Flag<string> = {
  name: "name",
  value: "NAME",
  description: "name in the token",
  defaultNote: "none, required",
  parse: parseNodeName,
};

const HOLDER: OptionalOperand<string> = {
  name: "NAME",
  description: "holder: revoke all certificates that it has so far",
  completion: "node",
  optional: true,
  parse: parseNodeName,
};

const ROLE = roleFlag("role of NAME");

const SERIAL: Flag<string> = {
  name: "serial",
  value: "HEX",
  description:
    "one certificate, as identity list shows it, without its renewals",
  defaultNote: "all of NAME",
  parse: parseSerial,
};

const REASON: Flag<string> = {
  name: "reason",
  value: "TEXT",
  description: "reason, for the record",
  parse: parseText,
};

const CREATE: CommandSpec = {
  name: "create",
  summary: "Create an identity for --identity, with an operator's token",
  action: "create the identity",
  operands: [NEW_DIR],
  flags: [JOIN, TOKEN, NAME, JSON_OUTPUT, TIMEOUT],
  examples: [
    "stellar-net identity create alice --join https://198.18.0.1:9000 --token-file token --name alice",
  ],
  run: async (call) => {
    const dir = call.operand(NEW_DIR);
    const urls = call.values(JOIN);
    const plain = urls.find((url) => !url.startsWith("https:"));
    if (plain !== undefined) {
      throw call.usage(
        `${call.originOf(JOIN)}: "${plain}" is plain text: write "https://"`,
      );
    }
    if (urls.length === 0) throw missing(call, JOIN);
    const summary = await call.io.identities.create({
      dir,
      urls,
      tokenPath: call.value(TOKEN) ?? fail(missing(call, TOKEN)),
      name: call.value(NAME) ?? fail(missing(call, NAME)),
      timeoutMs: call.value(TIMEOUT),
    });
    answer(call, summary, `Created the identity in ${dir}:`);
    call.note(
      `Use it with --identity ${dir}: it renews itself when it is used. You can remove the token's file`,
    );
  },
};

const RENEW: CommandSpec = {
  name: "renew",
  summary: "Renew the certificate of an identity now",
  action: "renew the identity",
  operands: [DIR],
  flags: [IDENTITY, URL_FLAG, JSON_OUTPUT, TIMEOUT],
  examples: ["stellar-net identity renew alice"],
  run: async (call) => {
    const dir = readDir(call);
    const summary = await call.io.identities.renew(dir, {
      url: call.value(URL_FLAG),
      timeoutMs: call.value(TIMEOUT),
    });
    answer(call, summary, `Renewed the identity in ${dir}:`);
  },
};

const SHOW: CommandSpec = {
  name: "show",
  summary: "Show the holder of an identity, and when it expires",
  action: "show the identity",
  operands: [DIR],
  flags: [IDENTITY, JSON_OUTPUT],
  examples: [
    "stellar-net identity show alice",
    "stellar-net identity show --identity alice --json",
  ],
  run: async (call) => {
    const dir = readDir(call);
    answer(call, await call.io.identities.show(dir), `Identity in ${dir}:`);
  },
};

const LIST = listCommand({
  name: "list",
  summary: "List the cluster's certificates that have not expired",
  action: "list certificates",
  examples: ["stellar-net identity list", "stellar-net identity list --json"],
  read: async (call) => {
    const { identity } = call.clients();
    const certificates = await readPages(async (pageToken) => {
      const page = await identity.listCertificates({ pageToken });
      return [page.certificates.map(viewOf), page.nextPageToken];
    });
    return createListing({
      body: { certificates },
      columns: {
        ROLE: ({ role }) => role,
        NAME: ({ name }) => name,
        SERIAL: ({ serial }) => serial,
        ISSUED: ({ issuedAt }) => date(issuedAt),
        EXPIRES: ({ notAfter }) => date(notAfter),
        CA: ({ generation }) => String(generation),
        STATE: ({ revoked }) => revoked ? "revoked" : "valid",
      },
      rows: certificates,
      notes: [certificates.length === 0 && "There is no certificate"],
    });
  },
});

const REVOKE: CommandSpec = {
  name: "revoke",
  summary: "Revoke certificates: hosts reject them from now on",
  action: "revoke certificates",
  operands: [HOLDER],
  flags: [ROLE, SERIAL, REASON, ...CLIENT_FLAGS],
  examples: [
    "stellar-net identity revoke node3",
    'stellar-net identity revoke alice --role operator --reason "has left"',
    "stellar-net identity revoke --serial 0a1b2c",
  ],
  run: async (call) => {
    const name = call.operand(HOLDER);
    const serial = call.value(SERIAL);
    if ((name === undefined) === (serial === undefined)) {
      throw call.usage(
        "it needs NAME, for all of its certificates, or --serial, for one",
      );
    }
    const role = call.value(ROLE);
    const holder = serial === undefined
      ? { name: name!, role: ROLES[role] }
      : { serial };
    const request = { ...holder, reason: call.value(REASON) ?? "" };
    const { identity } = call.clients();
    const { revocation, certificates } = await identity
      .revokeCertificates(request);
    const what = serial === undefined
      ? { role, name: name!, serial: null }
      : { role: null, name: null, serial };
    const revokedAt = viewTime(revocation?.revokedAt);
    call.answer({ revoked: { ...what, revokedAt, certificates } }, [
      serial === undefined
        ? `Revoked the certificates of ${role} ${name} up to now: ${certificates} had not expired`
        : `Revoked certificate ${serial}`,
    ]);
    call.note(
      certificates === 0
        ? "No certificate matches: check the name and --role with stellar-net identity list"
        : "Each host closes its connections within seconds of hearing of it",
    );
  },
};

export const IDENTITY_GROUP: GroupSpec = {
  name: "identity",
  summary:
    "Create, renew, list and revoke the certificates that callers present",
  commands: [CREATE, RENEW, SHOW, LIST, REVOKE, ROTATE],
};

function readDir(call: Call): string {
  const dir = call.operand(DIR) ?? call.value(IDENTITY);
  if (dir !== undefined) return dir;
  throw call.usage("it needs DIR, the folder of the identity");
}

function missing(call: Call, { name, value }: Flag<unknown>): Error {
  return call.usage(`it needs --${name} ${value}`);
}

function fail(error: Error): never {
  throw error;
}

function answer(call: Call, summary: IdentitySummary, done: string): void {
  const { issuedAtMs, notAfterMs, ...rest } = summary;
  const view = {
    ...rest,
    issuedAt: new Date(issuedAtMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
  };
  const leftMs = notAfterMs - call.io.now();
  call.answer({ identity: view }, [
    done,
    ...formatColumns([
      ["  Role", view.role],
      ["  Name", view.name],
      ["  Cluster", view.clusterId],
      ["  Serial", view.serial],
      ["  Issued", formatUtc(view.issuedAt)],
      [
        "  Expires",
        `${formatUtc(view.notAfter)}, ${
          leftMs > 0 ? `in ${formatSpan(leftMs)}` : "it has expired"
        }`,
      ],
      ["  Agents", view.urls.join(" ")],
    ]),
  ]);
}
