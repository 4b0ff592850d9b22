/** A file, link or folder of an installation. Paths are absolute. */
export type Item =
  | {
    readonly kind: "text";
    readonly path: string;
    /** Permission bits. */
    readonly mode: number;
    /** SHA-256 of the content, in hex. */
    readonly digest: string;
    /** The content. */
    readonly source: string | Uint8Array;
    /** Whether it replaces any file there, even one that an operator edited. */
    readonly isOurs: boolean;
  }
  | {
    readonly kind: "program";
    readonly path: string;
    /** Permission bits. */
    readonly mode: number;
    /** SHA-256 of the content, in hex. */
    readonly digest: string;
    /** The path to copy it from. */
    readonly source: string;
    /** Whether it replaces any file there, even one that an operator edited. */
    readonly isOurs: boolean;
  }
  | {
    readonly kind: "link";
    readonly path: string;
    readonly target: string;
    readonly isOurs: boolean;
  }
  /** Created where it is missing, and never removed: its content does not belong to the installation. */
  | { readonly kind: "folder"; readonly path: string; readonly mode: number };

/** The state of a path. */
export type Found =
  | { readonly kind: "absent" | "folder" | "other" }
  | { readonly kind: "file"; readonly mode: number; readonly digest: string }
  | { readonly kind: "link"; readonly target: string };

/** A change of the file system. */
export type FileOperation =
  | {
    readonly kind: "text";
    readonly path: string;
    readonly mode: number;
    readonly source: string | Uint8Array;
  }
  | {
    readonly kind: "program";
    readonly path: string;
    readonly mode: number;
    readonly source: string;
  }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
    readonly kind: "folder" | "mode";
    readonly path: string;
    readonly mode: number;
  }
  | {
    /** `remove_empty` removes a folder if it is empty, `remove_tree` a folder with its content. */
    readonly kind: "remove" | "remove_empty" | "remove_tree";
    readonly path: string;
  };

/** A path that stays as it is, and the reason. */
export interface Kept {
  readonly path: string;
  readonly why: string;
}

export const ABSENT: Found = { kind: "absent" };

/** An operation in words, such as `Write /etc/x (mode 0600)`. */
export function describeOperation(operation: FileOperation): string {
  const { kind, path } = operation;
  switch (kind) {
    case "text":
      return `Write ${path} (mode ${formatMode(operation.mode)})`;
    case "program":
      return `Copy ${operation.source} to ${path} (mode ${
        formatMode(operation.mode)
      })`;
    case "link":
      return `Link ${path} to ${operation.target}`;
    case "folder":
      return `Create the folder ${path} (mode ${formatMode(operation.mode)})`;
    case "mode":
      return `Give ${path} the mode ${formatMode(operation.mode)}`;
    case "remove":
      return `Remove ${path}`;
    case "remove_empty":
      return `Remove the folder ${path} if it is empty`;
    case "remove_tree":
      return `Remove the folder ${path} and everything in it`;
  }
}

function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
