import { startChore } from "../base/periodic.ts";
import type { TlsIdentity } from "../api/tls/given_certificate.ts";

/** How often the files are looked at, in ms. */
const INTERVAL_MS = 3_000;

/** Takes up certificates as their files change, and at once on SIGHUP. @returns what ends that */
export function followCertificates(identity: TlsIdentity): () => Promise<void> {
  const chore = startChore("look for new certificates", {
    intervalMs: INTERVAL_MS,
    run: () => identity.reload(),
  });
  const onHangUp = () => void identity.reload();
  Deno.addSignalListener("SIGHUP", onHangUp);
  return () => {
    Deno.removeSignalListener("SIGHUP", onHangUp);
    return chore.stop();
  };
}
