/** Something that an installation puts in place. Paths are absolute. */
export type Item =
  | {
    readonly kind: "text" | "program";
    readonly path: string;
    /** Permission bits. */
    readonly mode: number;
    /** SHA-256 of the content, in hex. */
    readonly digest: string;
    /** What is written; of a program, the path that it is copied from. */
    readonly source: string;
    /** Whether it replaces whatever is there, an operator's edits included. */
    readonly isOurs: boolean;
  }
  | {
    readonly kind: "link";
    readonly path: string;
    readonly target: string;
    readonly isOurs: boolean;
  }
  /** Made where it is missing, and never removed: what is in it is not of the installation. */
  | { readonly kind: "folder"; readonly path: string; readonly mode: number };

/** What was found at a path. */
export type Found =
  | { readonly kind: "absent" | "folder" | "other" }
  | { readonly kind: "file"; readonly mode: number; readonly digest: string }
  | { readonly kind: "link"; readonly target: string };

/** A change of the file system. */
export type FileOperation =
  | {
    readonly kind: "text" | "program";
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
    /** `remove_empty`: a folder, where nothing is in it. `remove_tree`: a folder with all that is. */
    readonly kind: "remove" | "remove_empty" | "remove_tree";
    readonly path: string;
  };

/** What is left as it is, and why. */
export interface Kept {
  readonly path: string;
  readonly why: string;
}

/** Nothing is there. */
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
      return `Make the folder ${path} (mode ${formatMode(operation.mode)})`;
    case "mode":
      return `Give ${path} the mode ${formatMode(operation.mode)}`;
    case "remove":
      return `Remove ${path}`;
    case "remove_empty":
      return `Remove the folder ${path} if it is empty`;
    case "remove_tree":
      return `Remove the folder ${path} with all that is in it`;
  }
}

function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
