import { createHash } from "node:crypto";
import type { HostFiles } from "../../src/install/port.ts";
import {
  ABSENT,
  type FileOperation,
  type Found,
} from "../../src/install/plan/item.ts";
import { folderOf } from "../../src/install/plan/layout.ts";

/** What is at a path of a host in memory. */
type Node =
  | { readonly kind: "file"; readonly mode: number; readonly text: string }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "folder" };

/** The files of a host in memory. Programs are copied from it, too. */
export class FakeHostFiles implements HostFiles {
  readonly nodes: Map<string, Node> = new Map([["/", { kind: "folder" }]]);
  /** What was carried out, such as `text /etc/x`. */
  readonly done: string[] = [];

  /** Puts a file there, as somebody else would. */
  write(path: string, text: string, mode = 0o644): void {
    this.nodes.set(path, { kind: "file", mode, text });
  }

  look(paths: readonly string[]): Promise<Map<string, Found>> {
    return Promise.resolve(
      new Map(paths.map((path) => [path, this.#look(path)])),
    );
  }

  read(path: string): Promise<string | undefined> {
    const node = this.nodes.get(path);
    return Promise.resolve(node?.kind === "file" ? node.text : undefined);
  }

  async apply(operation: FileOperation): Promise<string[]> {
    await Promise.resolve();
    const { kind, path } = operation;
    this.done.push(`${kind} ${path}`);
    if (kind.startsWith("remove")) {
      this.#remove(kind, path);
      return [];
    }
    const made = this.#makeFolders(folderOf(path));
    this.#put(operation);
    return kind === "folder" ? [...made, path] : made;
  }

  digestOf(content: string | Uint8Array): Promise<string> {
    return Promise.resolve(digest(content));
  }

  digestOfFile(path: string): Promise<string> {
    const node = this.nodes.get(path);
    return node?.kind === "file"
      ? Promise.resolve(digest(node.text))
      : Promise.reject(new Error(`Cannot read "${path}": it is no file`));
  }

  #look(path: string): Found {
    const node = this.nodes.get(path);
    return node?.kind === "file"
      ? { kind: "file", mode: node.mode, digest: digest(node.text) }
      : node ?? ABSENT;
  }

  #put(operation: FileOperation): void {
    const { path } = operation;
    switch (operation.kind) {
      case "text":
        return this.write(path, textOf(operation.source), operation.mode);
      case "program": {
        const from = this.nodes.get(operation.source);
        const text = from?.kind === "file" ? from.text : operation.source;
        return this.write(path, text, operation.mode);
      }
      case "link":
        this.nodes.set(path, { kind: "link", target: operation.target });
        return;
      case "mode": {
        const node = this.nodes.get(path);
        if (node?.kind !== "file") throw new Error(`${path} is no file`);
        return this.write(path, node.text, operation.mode);
      }
      default:
        this.nodes.set(path, { kind: "folder" });
    }
  }

  #remove(kind: FileOperation["kind"], path: string): void {
    const inside = [...this.nodes.keys()]
      .filter((other) => other.startsWith(`${path}/`));
    if (kind === "remove_empty" && inside.length > 0) return;
    if (kind === "remove" && this.nodes.get(path)?.kind === "folder") {
      throw new Error(`${path} is a folder`);
    }
    for (const gone of [...inside, path]) this.nodes.delete(gone);
  }

  #makeFolders(path: string): string[] {
    if (this.nodes.has(path)) return [];
    const above = this.#makeFolders(folderOf(path));
    this.nodes.set(path, { kind: "folder" });
    return [...above, path];
  }
}

function textOf(source: string | Uint8Array): string {
  return typeof source === "string" ? source : new TextDecoder().decode(source);
}

function digest(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}
