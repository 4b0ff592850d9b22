import type { DescMethod } from "@bufbuild/protobuf";
import { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import { type Caller, describeCaller } from "./caller.ts";
import {
  allowsNode,
  columnOf,
  type Permission,
  textOf,
} from "./permissions.ts";

const OPERATOR =
  "use --identity with an operator's certificate (stellar-net token create --role operator)";
const JOIN =
  "join with a token (--token-file), or show a certificate with --identity";

/** A call that somebody wants to make. */
export interface Attempt {
  readonly method: DescMethod;
  readonly permission: Permission;
  readonly caller: Caller;
  readonly request: object;
  /** The node of the agent that is called. */
  readonly self: string;
}

/**
 * Why a caller may not make a call; undefined where it may.
 *
 * @returns `permission_denied` naming what is missing, or `unauthenticated`
 * where it is not known who calls
 */
export function findRefusal(attempt: Attempt): NetError | undefined {
  const { caller, permission, request, self } = attempt;
  const column = columnOf(caller);
  const rule = column === undefined ? "no" : permission.rules[column];
  if (rule === "yes") return undefined;
  if (caller.kind === "newcomer" || caller.kind === "refused") {
    return refuseStranger(attempt.method, caller);
  }
  if (caller.kind !== "member") {
    return deny(attempt, "it is not in the table of permissions");
  }
  const { role, name } = caller.identity;
  const who = describeCaller(caller);
  if (role === "node" && rule !== "no") {
    if (allowsNode(permission, request, { node: name, self })) return undefined;
    return deny(attempt, explainOwn(attempt, who));
  }
  return deny(
    attempt,
    role === "operator"
      ? "it is not in the table of permissions"
      : `${who} may not, only an operator${
        permission.rules.readonly === "yes" ? " or readonly" : ""
      }; ${OPERATOR}`,
  );
}

function explainOwn({ request, permission }: Attempt, who: string): string {
  const named = textOf(request, "node");
  if (permission.rules.node === "own instance" && who.endsWith(quote(named))) {
    return `${who} may with its instance_id alone, and there is none; ${OPERATOR}`;
  }
  return named === ""
    ? `${who} may for itself alone, and the request names no node; name it, or ${OPERATOR}`
    : `${who} may for itself alone, not for node ${quote(named)}; ${OPERATOR}`;
}

function deny({ method }: Attempt, why: string): NetError {
  return new NetError(
    "permission_denied",
    `Cannot call ${method.name}: ${why}`,
  );
}

function refuseStranger(
  method: DescMethod,
  caller: Extract<Caller, { readonly kind: "newcomer" | "refused" }>,
): NetError {
  return new NetError(
    "unauthenticated",
    caller.kind === "refused"
      ? caller.why
      : `Cannot call ${method.name}: the connection has no certificate; ${JOIN}`,
  );
}
