import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseApiUrl, parseNodeName, parseText } from "../../base/names.ts";
import { parseSerial } from "../../security/pki/revocation.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import {
  type Authority,
  CLIENT_FLAGS,
  IDENTITY,
  JSON_OUTPUT,
  TIMEOUT,
  URL_FLAG,
} from "../framework/client.ts";
import {
  parseChoice,
  parseDuration,
  parsePath,
  parseSwitch,
} from "../framework/flags.ts";
import type { IdentitySummary } from "../framework/identities.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatColumns, formatTable } from "../framework/table.ts";
import { formatSpan, formatUtc } from "../framework/text.ts";
import { TOKEN_FILE } from "../framework/tls_flags.ts";
import { viewTime } from "../framework/views.ts";
import {
  ROLE_NAMES,
  roleOf,
  viewCertificate,
  viewIdentity,
} from "./identity_views.ts";

const ANNOUNCE: Flag<number> = {
  name: "announce",
  value: "DURATION",
  description: "how long hosts are told of the next authority before it signs",
  defaultNote: "30d",
  parse: parseDuration,
};

const OVERLAP: Flag<number> = {
  name: "overlap",
  value: "DURATION",
  description: "how long what the one before signed is accepted after that",
  defaultNote: "as long as certificates last, and a day",
  parse: parseDuration,
};

const COMPROMISED: Flag<boolean> = {
  name: "compromised",
  description:
    "somebody else may have the key: distrust at once all that it signed",
  parse: parseSwitch,
};

/** An authority, as `--json` prints it. */
interface AuthorityView {
  readonly generation: number;
  readonly fingerprint: string;
  readonly signsFrom: string | null;
  readonly trustedUntil: string | null;
}

export const ROTATE: CommandSpec = {
  name: "rotate",
  summary: "Replace the authority that signs certificates, with no pause",
  action: "rotate the authority",
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
          "which waits for nobody: remove one of the two",
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
        `Made authority ${made.generation}, ${made.fingerprint}: it signs, and nothing that was signed before is accepted any more`,
      ]);
      call.note(
        "Every other host joins again with a new token in the file of its --token-file: stellar-net token create; operators make their identities anew",
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
      "Who does not hear of it before it signs joins again with a new token: a host that is off, an identity that is not used until then; --announce gives them time",
    );
  },
};

/** What happens when. */
function describe(
  call: Call,
  next: AuthorityView,
  before: AuthorityView | undefined,
): string[] {
  const now = formatUtc(new Date(call.io.now()).toISOString());
  return [
    `Made authority ${next.generation}, ${next.fingerprint}:`,
    ...formatColumns([
      [`  ${now}`, "hosts are told of it, and trust it from then on"],
      [
        `  ${formatUtc(next.signsFrom)}`,
        "it signs, and hosts renew their certificates by themselves; tokens made before that let nobody in for long",
      ],
      ...before
        ? [[
          `  ${formatUtc(before.trustedUntil)}`,
          `what authority ${before.generation} signed is not accepted any more`,
        ]]
        : [],
    ]),
  ];
}

function viewAuthority(message: Authority): AuthorityView {
  return {
    generation: message.generation,
    fingerprint: message.fingerprint,
    signsFrom: viewTime(message.signsFrom),
    trustedUntil: viewTime(message.trustedUntil),
  };
}

const NEW_DIR: Operand<string> = {
  name: "DIR",
  description: "folder to make, for the key and the certificate",
  completion: "directory",
  parse: parsePath,
};

const DIR: Operand<string> & { readonly optional: true } = {
  name: "DIR",
  description: "folder of the identity; default: that of --identity",
  completion: "directory",
  optional: true,
  parse: parsePath,
};

const JOIN: Flag<string> = {
  name: "join",
  value: "URL",
  description: "agent that hosts the registry, kept as the one to call later",
  defaultNote: "none, it has to be given",
  repeatable: true,
  parse: parseApiUrl,
};

const TOKEN: Flag<string> = {
  ...TOKEN_FILE,
  description: "file with the token of an operator, mode 0600",
  defaultNote: "none, it has to be given",
};

const NAME: Flag<string> = {
  name: "name",
  value: "NAME",
  description: "whom the token is for",
  defaultNote: "none, it has to be given",
  parse: parseNodeName,
};

const HOLDER: Operand<string> & { readonly optional: true } = {
  name: "NAME",
  description: "whose certificates, all that there are so far",
  optional: true,
  parse: parseNodeName,
};

const ROLE: Flag<typeof ROLE_NAMES[number]> & { readonly default: string } = {
  name: "role",
  value: "ROLE",
  description: "role of NAME: node, operator or readonly",
  default: "node",
  completion: ROLE_NAMES,
  parse: parseChoice(ROLE_NAMES),
};

const SERIAL: Flag<string> = {
  name: "serial",
  value: "HEX",
  description:
    "one certificate, as identity list shows it, and not those that it was renewed to",
  defaultNote: "all of NAME",
  parse: parseSerial,
};

const REASON: Flag<string> = {
  name: "reason",
  value: "TEXT",
  description: "why, for those who look later",
  parse: parseText,
};

const CREATE: CommandSpec = {
  name: "create",
  summary: "Make an identity for --identity, with the token of an operator",
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
    answer(call, summary, `Made the identity in ${dir}:`);
    call.note(
      `Use it with --identity ${dir}: it renews itself when it is used. The token's file can be removed`,
    );
  },
};

const RENEW: CommandSpec = {
  name: "renew",
  summary: "Have the certificate of an identity renewed now",
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
  summary: "Show whose an identity is, and until when it is good",
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

const LIST: CommandSpec = {
  name: "list",
  summary: "List the certificates of the cluster that have not ended",
  action: "list certificates",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net identity list", "stellar-net identity list --json"],
  run: async (call) => {
    const message = await call.clients().identity.listCertificates({});
    const certificates = message.certificates.map(viewCertificate);
    const header = ["ROLE", "NAME", "SERIAL", "ISSUED", "UNTIL", "AUTHORITY"]
      .concat("STATE");
    const rows = certificates.map((certificate) => [
      certificate.role,
      certificate.name,
      certificate.serial,
      formatUtc(certificate.issuedAt),
      formatUtc(certificate.notAfter),
      String(certificate.generation),
      certificate.revoked ? "revoked" : "good",
    ]);
    call.answer({ certificates }, formatTable(header, rows));
    if (rows.length === 0) call.note("There is no certificate");
  },
};

const REVOKE: CommandSpec = {
  name: "revoke",
  summary: "Have certificates not accepted any more",
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
    const whose = serial === undefined
      ? { name: name!, role: roleOf(role) }
      : { serial };
    const request = { ...whose, reason: call.value(REASON) ?? "" };
    const { identity } = call.clients();
    const { revocation, certificates } = await identity
      .revokeCertificates(request);
    const what = serial === undefined
      ? { role, name: name!, serial: null }
      : { role: null, name: null, serial };
    const revokedAt = viewTime(revocation?.revokedAt);
    call.answer({ revoked: { ...what, revokedAt, certificates } }, [
      serial === undefined
        ? `Revoked the certificates of ${role} ${name} up to now: ${certificates} have not ended by themselves`
        : `Revoked certificate ${serial}`,
    ]);
    call.note(
      certificates === 0
        ? "Look whether that is whom you mean, and the --role: stellar-net identity list"
        : "Its connections end within seconds, wherever hosts have heard",
    );
  },
};

export const IDENTITY_GROUP: GroupSpec = {
  name: "identity",
  summary: "Certificates: who may call agents, and as what",
  examples: ["stellar-net identity list", "stellar-net identity show alice"],
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
  const view = viewIdentity(summary);
  const leftMs = summary.notAfterMs - call.io.now();
  call.answer({ identity: view }, [
    done,
    ...formatColumns([
      ["  Role", view.role],
      ["  Name", view.name],
      ["  Cluster", view.clusterId],
      ["  Serial", view.serial],
      ["  Issued", formatUtc(view.issuedAt)],
      [
        "  Until",
        `${formatUtc(view.notAfter)}, ${
          leftMs > 0 ? `${formatSpan(leftMs)} from now` : "it has ended"
        }`,
      ],
      ["  Agents", view.urls.join(" ")],
    ]),
  ]);
}
