import type { DescMethod } from "@bufbuild/protobuf";
import type { Requested, Requesters } from "../../cluster/requesters.ts";
import { formatPrefix, parsePrefix } from "../../net/prefix.ts";
import { type Caller, formatCaller, textOf } from "./call_context.ts";

/** The calls that change the cluster, and what they name. */
const CHANGES: Readonly<Record<string, "route" | "node">> = {
  "stellar.net.v1.RegistryService/AddRoute": "route",
  "stellar.net.v1.RegistryService/DeleteRoute": "route",
  "stellar.net.v1.RegistryService/ClaimSubnets": "node",
  "stellar.net.v1.RegistryService/ReleaseSubnets": "node",
  "stellar.net.v1.RegistryService/RemoveNode": "node",
  "stellar.services.network.v1.Network/AddRoute": "route",
  "stellar.services.network.v1.Network/DeleteRoute": "route",
  "stellar.services.network.v1.Network/AllocateSubnet": "node",
  "stellar.services.network.v1.Network/DeallocateSubnet": "node",
};

/** A call that a caller may make. */
export interface AdmittedCall {
  readonly method: DescMethod;
  readonly request: object;
  readonly caller: Caller;
}

/** Notes the caller of a change of the cluster, for its event. */
export async function noteRequester(
  requesters: Pick<Requesters, "note">,
  { method, request, caller }: AdmittedCall,
): Promise<void> {
  const kind = CHANGES[`${method.parent.typeName}/${method.name}`];
  const isDryRun = "validateOnly" in request && request.validateOnly === true;
  if (kind === undefined || isDryRun) return;
  const what = kind === "route"
    ? requestedRoute(textOf(request, "cidr"))
    : `node ${textOf(request, "node")}` as const;
  if (what) await requesters.note(what, formatCaller(caller));
}

function requestedRoute(cidr: string): Requested | undefined {
  try {
    return `route ${formatPrefix(parsePrefix(cidr))}`;
  } catch {
    // The call refuses it.
    return undefined;
  }
}
