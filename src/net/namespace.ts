/**
 * A network namespace, distinct from every other of one boot. The kernel reuses
 * the inode numbers of namespaces, so the number alone does not identify one.
 */
export interface NamespaceId {
  readonly inode: number;
  /**
   * Distinguishes namespaces with one inode number: the start of the process
   * that its path below `/proc` names, or the time when it was mounted.
   */
  readonly since: string;
}

/** The answer to the question for the network namespace at a path. */
export type FoundNamespace =
  | { readonly kind: "there"; readonly id: NamespaceId }
  /** Nothing is at the path, or something that is not a network namespace. */
  | { readonly kind: "gone" }
  /** It is not visible from here. */
  | { readonly kind: "unknown" };

/** Whether two ids are of one namespace. */
export function isSameNamespace(a: NamespaceId, b: NamespaceId): boolean {
  return a.inode === b.inode && a.since === b.since;
}
