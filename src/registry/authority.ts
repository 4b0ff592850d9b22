import type { ClusterConfig } from "./plan/state.ts";
import { NetError } from "../base/error.ts";
import { FOREIGN_LIFETIMES, type Lifetimes } from "../security/certificates.ts";
import { IdentityRegistry } from "../security/identity_registry.ts";
import type { Store } from "../store/store.ts";
import { refuseMarked, UNMOVED } from "../state/migration_marks.ts";
import type { Registry } from "./registry.ts";

/** With what the cluster's authority is opened. */
export interface IdentityHostOptions {
  /** The registry's. */
  readonly store: Store;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** How long certificates last, where it is not as usual. */
  readonly certificateLifetimes?: Partial<Lifetimes>;
  /** Whether certificates are an operator's own: then only names are revoked here. */
  readonly hasGivenCertificates?: boolean;
}

/**
 * Opens the cluster's authority. Where certificates are an operator's own, it
 * is made at once: with it hosts are told which cluster theirs have to be of,
 * and what is revoked.
 */
export async function openIdentity(
  options: IdentityHostOptions,
  { registry, cluster }: {
    readonly registry: Registry;
    readonly cluster: ClusterConfig;
  },
): Promise<IdentityRegistry> {
  const { store, now, hasGivenCertificates } = options;
  const lifetimes = hasGivenCertificates
    ? FOREIGN_LIFETIMES
    : options.certificateLifetimes;
  const identity = await IdentityRegistry.open({
    store,
    clusterId: cluster.clusterId,
    now,
    nodes: {
      has: async (name) => await registry.node(name) !== undefined,
      alike: (name) => registry.alike(name),
      reachedAt: (address, except) => registry.reachedAt(address, except),
    },
    ...(lifetimes && { lifetimes }),
    marks: {
      checks: UNMOVED,
      refuse: (entry) => refuseMarked(store, entry),
    },
  });
  if (hasGivenCertificates) await identity.trust();
  return identity;
}

/** The error where certificates are an operator's own. */
export function hasGivenCertificates(): NetError {
  return new NetError(
    "failed_precondition",
    "Cannot use the cluster's own certificates: this agent was started with --tls-cert, --tls-key and --tls-ca; have certificates issued by the authority that signs those",
  );
}
