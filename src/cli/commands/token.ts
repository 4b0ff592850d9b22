import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseNodeName } from "../../base/names.ts";
import { parseTokenId } from "../../security/pki/token.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import { Role, type Token } from "../framework/client.ts";
import {
  fileFlag,
  type Flag,
  type FlagWithDefault,
  type Operand,
} from "../framework/flag.ts";
import {
  createListing,
  date,
  listCommand,
  readPages,
} from "../framework/list.ts";
import {
  parseChoice,
  parseDuration,
  parseInteger,
} from "../framework/parsers.ts";
import { CLIENT_FLAGS } from "../framework/target.ts";
import { formatUtc } from "../framework/text.ts";
import { type View, viewOf, viewOrNull } from "../framework/view.ts";

/** A join token, without its secret. A name is the only one that it admits. */
export type TokenView = View<Token>;

/** The most hosts or operators that the registry admits with one token. */
const MAX_USES = 10_000;

/** The roles of certificates, by name. */
export const ROLES = {
  node: Role.NODE,
  operator: Role.OPERATOR,
  readonly: Role.READONLY,
} as const;

/** Makes the flag for a role. */
export function roleFlag(
  description: string,
): FlagWithDefault<keyof typeof ROLES> {
  const names = Object.keys(ROLES) as (keyof typeof ROLES)[];
  return {
    ...{ name: "role", value: "ROLE", default: "node" },
    description: `${description}: node, operator or readonly`,
    completion: names,
    parse: parseChoice(names),
  };
}

const ROLE = roleFlag("role that the token gives");

const NAME: Flag<string> = {
  name: "name",
  value: "NAME",
  description: "admit only this name; operators need one",
  defaultNote: "any new name",
  parse: parseNodeName,
};

const LIFETIME: FlagWithDefault<number> = {
  name: "lifetime",
  value: "DURATION",
  description: "how long the token is valid, 1m to 30d",
  default: "1h",
  parse: parseDuration,
};

const USES: FlagWithDefault<number> = {
  name: "uses",
  value: "N",
  description: "how many times the token can be used",
  default: "1",
  parse: parseInteger(1, MAX_USES),
};

const FILE = fileFlag(
  "file",
  "write the token to this file, readable only by its owner",
  "stdout",
);

const ID: Operand<string> = {
  name: "ID",
  description: "id of the token, as token list shows it",
  parse: parseTokenId,
};

const CREATE: CommandSpec = {
  name: "create",
  summary: "Create a token that admits a host or an operator",
  action: "create a token",
  flags: [ROLE, NAME, LIFETIME, USES, FILE, ...CLIENT_FLAGS],
  examples: [
    "stellar-net token create > token",
    "stellar-net token create --name node2 --lifetime 10m --file /etc/stellar-net/token",
    "stellar-net token create --role operator --name alice --file token",
  ],
  run: async (call) => {
    const role = call.value(ROLE);
    const file = call.value(FILE);
    const name = call.value(NAME) ?? "";
    if (role !== "node" && name === "") {
      throw call.usage(
        `${call.originOf(ROLE)} ${role} needs --name, the name of its holder`,
      );
    }
    const request = {
      role: ROLES[role],
      name,
      lifetime: durationFromMs(call.value(LIFETIME)),
      maxUses: call.value(USES),
    };
    const { identity } = call.clients();
    const { secret, token } = await identity.createToken(request);
    const view = viewOf(token!);
    if (file === undefined) {
      call.answer({ token: secret, ...view }, [secret]);
    } else {
      try {
        await call.io.files.write(file, bytesOf(`${secret}\n`));
      } catch (error) {
        // Nobody has the token.
        await identity.revokeToken({ id: view.id }).catch(() => {
          call.note(`Nobody has it: stellar-net token revoke ${view.id}`);
        });
        throw error;
      }
      call.answer({ file, ...view }, [
        `Wrote ${file}: token ${view.id}, valid until ${
          formatUtc(view.expiresAt)
        }`,
      ]);
    }
    noteNext(call, view, file);
  },
};

const LIST = listCommand({
  name: "list",
  summary: "List the tokens, and the hosts and operators that used them",
  action: "list tokens",
  examples: ["stellar-net token list", "stellar-net token list --json"],
  read: async (call) => {
    const { identity } = call.clients();
    const tokens = await readPages(async (pageToken) => {
      const page = await identity.listTokens({ pageToken });
      return [page.tokens.map(viewOf), page.nextPageToken];
    });
    return createListing({
      body: { tokens },
      columns: {
        ID: ({ id }) => id,
        ROLE: ({ role }) => role,
        NAME: ({ name }) => name ?? "any",
        STATE: ({ state }) => state,
        USED: ({ used, maxUses }) => `${used} of ${maxUses}`,
        EXPIRES: ({ expiresAt }) => date(expiresAt),
        LAST: ({ uses }) => uses.at(-1)?.name ?? "",
      },
      wide: {
        CREATED: ({ createdAt }) => date(createdAt),
        "USED BY": ({ uses }) => uses.map(({ name }) => name).join(" "),
      },
      rows: tokens,
      notes: [tokens.length === 0 && "There is no token"],
    });
  },
});

const REVOKE: CommandSpec = {
  name: "revoke",
  summary: "Revoke a token: it admits nobody any more",
  action: "revoke the token",
  operands: [ID],
  flags: CLIENT_FLAGS,
  examples: ["stellar-net token revoke 0123456789ab"],
  run: async (call) => {
    const id = call.operand(ID);
    const { token } = await call.clients().identity.revokeToken({ id });
    call.answer({ token: viewOrNull(token) }, [`Revoked token ${id}`]);
    call.note(
      "Hosts and operators that have joined with it stay: stellar-net identity revoke revokes their certificates",
    );
  },
};

export const TOKEN: GroupSpec = {
  name: "token",
  summary:
    "Create, list and revoke the tokens that hosts and operators join with",
  commands: [CREATE, LIST, REVOKE],
};

/** Says what to do with a new token. */
function noteNext(
  call: Call,
  { role, name }: TokenView,
  file: string | undefined,
): void {
  if (file === undefined) {
    call.note(
      "The token is a secret and is not shown again: put it into a file with mode 0600",
    );
  }
  const at = file ?? "FILE";
  const agent = "https://HOST:PORT";
  call.note(
    role === "node"
      ? `Join with it, on ${
        name === null ? "the new host" : `host ${name}`
      }: stellar-net agent --listen ADDR:PORT --join ${agent} --token-file ${at}${
        name === null ? "" : ` --node ${name}`
      }`
      : `Create an identity with it: stellar-net identity create DIR --join ${agent} --token-file ${at} --name ${name}`,
  );
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield await Promise.resolve(new TextEncoder().encode(text));
}
