import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseNodeName } from "../../base/names.ts";
import { parseTokenId } from "../../security/pki/token.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import { CLIENT_FLAGS } from "../framework/client.ts";
import {
  parseChoice,
  parseDuration,
  parseInteger,
  parsePath,
} from "../framework/flags.ts";
import {
  ROLE_NAMES,
  roleOf,
  type TokenView,
  viewToken,
} from "./identity_views.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatTable } from "../framework/table.ts";
import { formatUtc } from "../framework/text.ts";

/** The most that the registry lets in by one token. */
const MAX_USES = 10_000;

const ROLE: Flag<typeof ROLE_NAMES[number]> & { readonly default: string } = {
  name: "role",
  value: "ROLE",
  description: "what its holder will be: node, operator or readonly",
  default: "node",
  completion: ROLE_NAMES,
  parse: parseChoice(ROLE_NAMES),
};

const NAME: Flag<string> = {
  name: "name",
  value: "NAME",
  description: "let in this name alone; operators have to be named",
  defaultNote: "any that is new",
  parse: parseNodeName,
};

const LIFETIME: Flag<number> & { readonly default: string } = {
  name: "lifetime",
  value: "DURATION",
  description: "how long it lets in, 1m to 30d",
  default: "1h",
  parse: parseDuration,
};

const USES: Flag<number> & { readonly default: string } = {
  name: "uses",
  value: "N",
  description: "how often it lets in",
  default: "1",
  parse: parseInteger(1, MAX_USES),
};

const FILE: Flag<string> = {
  name: "file",
  value: "FILE",
  description: "write it there, readable by its owner alone",
  defaultNote: "stdout",
  completion: "file",
  parse: parsePath,
};

const ID: Operand<string> = {
  name: "ID",
  description: "id of the token, as token list shows it",
  parse: parseTokenId,
};

const CREATE: CommandSpec = {
  name: "create",
  summary: "Make a token that lets a host or an operator in",
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
        `${call.originOf(ROLE)} ${role} needs --name, for whom it is`,
      );
    }
    const request = {
      role: roleOf(role),
      name,
      lifetime: durationFromMs(call.value(LIFETIME)),
      maxUses: call.value(USES),
    };
    const { identity } = call.clients();
    const { secret, token } = await identity.createToken(request);
    const view = viewToken(token!);
    if (file === undefined) {
      call.answer({ token: secret, ...view }, [secret]);
    } else {
      try {
        await call.io.files.write(file, bytesOf(`${secret}\n`));
      } catch (error) {
        // Nobody has it.
        await identity.revokeToken({ id: view.id }).catch(() => {
          call.note(`Nobody has it: stellar-net token revoke ${view.id}`);
        });
        throw error;
      }
      call.answer({ file, ...view }, [
        `Wrote ${file}: token ${view.id}, until ${formatUtc(view.expiresAt)}`,
      ]);
    }
    tellNext(call, view, file);
  },
};

const LIST: CommandSpec = {
  name: "list",
  summary: "List the tokens, and who came in with them",
  action: "list tokens",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net token list", "stellar-net token list --json"],
  run: async (call) => {
    const message = await call.clients().identity.listTokens({});
    const tokens = message.tokens.map(viewToken);
    const header = ["ID", "ROLE", "NAME", "STATE", "USED", "EXPIRES", "LAST"];
    const rows = tokens.map((token) => [
      token.id,
      token.role,
      token.name ?? "any",
      token.state,
      `${token.used} of ${token.maxUses}`,
      formatUtc(token.expiresAt),
      token.uses.at(-1)?.name ?? "",
    ]);
    call.answer({ tokens }, formatTable(header, rows));
    if (tokens.length === 0) call.note("There is no token");
  },
};

const REVOKE: CommandSpec = {
  name: "revoke",
  summary: "Let nobody in with a token any more",
  action: "revoke the token",
  operands: [ID],
  flags: CLIENT_FLAGS,
  examples: ["stellar-net token revoke 0123456789ab"],
  run: async (call) => {
    const id = call.operand(ID);
    const { token } = await call.clients().identity.revokeToken({ id });
    call.answer({ token: token ? viewToken(token) : null }, [
      `Revoked token ${id}`,
    ]);
    call.note(
      "Who came in with it stays in: stellar-net identity revoke ends certificates",
    );
  },
};

export const TOKEN: GroupSpec = {
  name: "token",
  summary: "Tokens that let hosts and operators in",
  examples: ["stellar-net token create > token", "stellar-net token list"],
  commands: [CREATE, LIST, REVOKE],
};

/** Says what is to be done with a new token. */
function tellNext(
  call: Call,
  token: TokenView,
  file: string | undefined,
): void {
  const { role, name } = token;
  if (file === undefined) {
    call.note(
      "It is a secret and not shown again: put it into a file with mode 0600",
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
      : `Make an identity with it: stellar-net identity create DIR --join ${agent} --token-file ${at} --name ${name}`,
  );
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield await Promise.resolve(new TextEncoder().encode(text));
}
