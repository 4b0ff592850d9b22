/** How long an authority lasts if nothing else is said: ten years. */
export const AUTHORITY_LIFETIME_MS = 3652 * 24 * 3600_000;
/** How long a certificate lasts if nothing else is said. */
export const CERTIFICATE_LIFETIME_MS = 24 * 3600_000;

/**
 * When a certificate is renewed: after two thirds of its life, or up to a
 * tenth of its life earlier, so that hosts that joined together do not renew
 * together.
 *
 * @param jitter 0 to 1
 */
export function renewalTimeMs(
  life: { readonly issuedAtMs: number; readonly notAfterMs: number },
  jitter: number,
): number {
  const { issuedAtMs, notAfterMs } = life;
  const share = 2 / 3 - jitter / 10;
  return issuedAtMs + Math.floor((notAfterMs - issuedAtMs) * share);
}
