import { startPeriodicTask } from "../base/periodic_task.ts";
import type { GivenCertificate } from "../api/tls/given_certificate.ts";

/** How often the files are looked at, in ms. */
const INTERVAL_MS = 3_000;

/** Takes up certificates as their files change, and at once on SIGHUP. @returns what ends that */
export function followCertificates(
  identity: GivenCertificate,
): () => Promise<void> {
  const task = startPeriodicTask("look for new certificates", {
    intervalMs: INTERVAL_MS,
    run: () => identity.reload(),
  });
  const onHangUp = () => void identity.reload();
  Deno.addSignalListener("SIGHUP", onHangUp);
  return () => {
    Deno.removeSignalListener("SIGHUP", onHangUp);
    return task.stop();
  };
}
