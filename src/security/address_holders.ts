import { type Address, formatAddress } from "../net/address.ts";
import type { IssuedRecord } from "./pki/certificate.ts";
import type { Store } from "../store/store.ts";
import { notCertified } from "./admission.ts";
import { isRevoked } from "./certificates.ts";
import {
  readHolder,
  readIssued,
  readRevocations,
} from "../state/identity_records.ts";
import type { KnownNodes } from "./known_nodes.ts";

/** What tells whose an address is. */
interface Registered {
  readonly store: Store;
  readonly nodes: KnownNodes;
  readonly nowMs: number;
}

/**
 * Returns when addresses are nobody else's. One that is in the certificate of
 * a node is that node's, whatever others say of themselves; any other one is
 * whose agent says that it is reached there.
 *
 * @throws {NetError} `permission_denied` naming the other node
 */
export async function refuseOthersAddresses(
  registered: Registered,
  applicant: {
    readonly role: IssuedRecord["role"];
    readonly name: string;
    readonly addresses: readonly Address[];
  },
): Promise<void> {
  const { addresses, name } = applicant;
  for (const address of addresses) {
    const holder = await findHolder(registered, address);
    if (holder === name) continue;
    const by = holder ?? await registered.nodes.reachedAt(address, name);
    if (by === undefined) continue;
    throw notCertified(
      applicant,
      `node "${by}" ${
        holder === undefined ? "is reached at" : "has a certificate for"
      } ${
        formatAddress(address)
      }; give one of them another address with --advertise, or remove node "${by}" if it is gone`,
    );
  }
}

/** The node of the cluster whose latest certificate is for an address, and holds; undefined when none is. */
async function findHolder(
  { store, nodes, nowMs }: Registered,
  address: Address,
): Promise<string | undefined> {
  const record = await readHolder(store, address);
  if (!record || record.notAfterMs <= nowMs) return undefined;
  const { role, name, issuedAtMs } = record;
  // It may be for other addresses since.
  const isLatest = (await readIssued(store, { role, name }))
    .every((other) => other.issuedAtMs <= issuedAtMs);
  if (!isLatest || isRevoked(record, await readRevocations(store))) {
    return undefined;
  }
  return await nodes.has(name) ? name : undefined;
}
