/** Who a folder's certificate says that its holder is. */
export interface IdentitySummary {
  readonly role: "node" | "operator" | "readonly";
  readonly name: string;
  readonly clusterId: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
  /** Where agents are called, in the order to try them in. */
  readonly urls: readonly string[];
}

/** How an identity is made. */
export interface IdentityOrder {
  /** Folder to make, or an empty one. */
  readonly dir: string;
  /** Agents that let it in, in the order to try them in. They are kept with it. */
  readonly urls: readonly string[];
  /** File with the token. */
  readonly tokenPath: string;
  readonly name: string;
  /** How long each agent may take. */
  readonly timeoutMs: number;
}

/**
 * Identities in folders: a key that never leaves its folder, and what the
 * cluster's authority has certified for it.
 *
 * Every method throws a NetError: `failed_precondition` for a folder that
 * cannot be used, naming the file, and what agents refuse as they say it.
 */
export interface Identities {
  /** Makes a key, and has it certified by a token. Nothing is left behind when that fails. */
  create(order: IdentityOrder): Promise<IdentitySummary>;
  /** Has another certificate made for the same holder. */
  renew(
    dir: string,
    options: { readonly url?: string | undefined; readonly timeoutMs: number },
  ): Promise<IdentitySummary>;
  /** Reads who a folder's certificate names. */
  show(dir: string): Promise<IdentitySummary>;
}
