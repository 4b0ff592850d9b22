import { readBackup } from "../../src/backup/format/read.ts";
import { openAuthority } from "../../src/security/pki/authority.ts";
import { issueCertificate } from "../../src/security/pki/certificate.ts";
import { createKey } from "../../src/security/pki/key.ts";
import type { Role } from "../../src/security/pki/identity.ts";
import { readAuthorityRecord } from "../../src/security/pki/records.ts";
import {
  createSigningRequest,
  readSigningRequest,
} from "../../src/security/pki/signing_request.ts";
import { parseAddress } from "../../src/net/address.ts";

/**
 * Certifies whom one likes, with the key of the latest authority in a backup.
 *
 * @param dir is made, with `chain.pem` and `key.pem` in it
 */
export async function forge(
  backup: string,
  dir: string,
  { role, name, address, nowMs }: {
    readonly role: Role;
    readonly name: string;
    readonly address?: string;
    readonly nowMs: number;
  },
): Promise<void> {
  const records = [];
  using file = await Deno.open(backup);
  for await (const part of readBackup(file.readable)) {
    if (part.kind !== "entry") continue;
    const { key, value } = part.entry;
    if (!key.includes("authority")) continue;
    records.push(readAuthorityRecord(value));
  }
  const latest = records.sort((a, b) => a.generation - b.generation).at(-1)!;
  const key = createKey();
  const { chain } = issueCertificate(openAuthority(latest), {
    ...{ role, name, nowMs, dnsNames: [] },
    addresses: address === undefined ? [] : [parseAddress(address)],
    request: readSigningRequest(createSigningRequest(key)),
  });
  await Deno.mkdir(dir);
  await Deno.writeTextFile(`${dir}/chain.pem`, chain);
  await Deno.writeTextFile(`${dir}/key.pem`, key);
}
