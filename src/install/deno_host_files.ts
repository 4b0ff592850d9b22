import { createHash, type Hash } from "node:crypto";
import { dirname } from "node:path";
import { NetError } from "../base/error.ts";
import type { FileOperation, Found } from "./plan/item.ts";
import type { HostFiles } from "./port.ts";
import { makeSymlink, replaceFile } from "../system/files.ts";

/** The permission bits of a mode (inode(7)). */
const PERMISSIONS = 0o7777;

/** Files below a folder that stands for the host's root; `/` is this host. */
export class DenoHostFiles implements HostFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root.replace(/\/+$/, "");
  }

  async look(paths: readonly string[]): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    for (const path of paths) {
      found.set(
        path,
        await attempt(`look at "${path}"`, () => this.#look(path)),
      );
    }
    return found;
  }

  async read(path: string): Promise<string | undefined> {
    return await attempt(`read "${path}"`, async () => {
      try {
        return await Deno.readTextFile(this.#at(path));
      } catch (error) {
        if (isGone(error)) return undefined;
        throw error;
      }
    });
  }

  async apply(operation: FileOperation): Promise<readonly string[]> {
    const { kind, path } = operation;
    const isRemoval = kind.startsWith("remove");
    const verb = isRemoval ? "remove" : "write";
    return await attempt(`${verb} "${this.#at(path)}"`, async () => {
      const made = isRemoval || kind === "mode"
        ? []
        : await this.#makeFolders(dirname(path));
      await carryOut(operation, this.#at(path));
      return kind === "folder" ? [...made, path] : made;
    });
  }

  async digestOf(text: string | Uint8Array): Promise<string> {
    return await Promise.resolve(hash().update(text).digest("hex"));
  }

  async digestOfFile(path: string): Promise<string> {
    return await attempt(`read "${path}"`, async () => {
      const digest = hash();
      const file = await Deno.open(path);
      for await (const chunk of file.readable) digest.update(chunk);
      return digest.digest("hex");
    });
  }

  async #look(path: string): Promise<Found> {
    const at = this.#at(path);
    try {
      const info = await Deno.lstat(at);
      if (info.isSymlink) {
        return { kind: "link", target: await Deno.readLink(at) };
      }
      if (info.isDirectory) return { kind: "folder" };
      if (!info.isFile) return { kind: "other" };
      const mode = (info.mode ?? 0) & PERMISSIONS;
      return { kind: "file", mode, digest: await this.digestOfFile(at) };
    } catch (error) {
      if (isGone(error)) return { kind: "absent" };
      throw error;
    }
  }

  async #makeFolders(path: string): Promise<string[]> {
    if (path === "/") {
      await Deno.mkdir(this.#root || "/", { recursive: true });
      return [];
    }
    if ((await Deno.stat(this.#at(path)).catch(() => undefined))?.isDirectory) {
      return [];
    }
    const above = await this.#makeFolders(dirname(path));
    await Deno.mkdir(this.#at(path), { mode: 0o755 });
    return [...above, path];
  }

  #at(path: string): string {
    return `${this.#root}${path}`;
  }
}

async function carryOut(operation: FileOperation, at: string): Promise<void> {
  switch (operation.kind) {
    case "text":
      return await replaceFile(at, async (temporary) => {
        const { mode, source } = operation;
        const bytes = typeof source === "string"
          ? new TextEncoder().encode(source)
          : source;
        await Deno.writeFile(temporary, bytes, { createNew: true, mode });
        await Deno.chmod(temporary, mode);
      });
    case "program":
      return await replaceFile(at, async (temporary) => {
        await Deno.copyFile(operation.source, temporary);
        await Deno.chmod(temporary, operation.mode);
      });
    case "link":
      return await replaceFile(at, (temporary) => {
        makeSymlink(operation.target, temporary);
        return Promise.resolve();
      });
    case "folder":
      return await Deno.mkdir(at, { mode: operation.mode });
    case "mode":
      return await Deno.chmod(at, operation.mode);
    case "remove":
    case "remove_empty":
    case "remove_tree":
      return await remove(operation.kind, at);
  }
}

async function remove(
  kind: "remove" | "remove_empty" | "remove_tree",
  at: string,
): Promise<void> {
  try {
    await Deno.remove(at, { recursive: kind === "remove_tree" });
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (isGone(error) || kind === "remove_empty" && code === "ENOTEMPTY") {
      return;
    }
    throw error;
  }
}

function hash(): Hash {
  return createHash("sha256");
}

/** Neither the file nor its folder exists. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

async function attempt<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const why = cause instanceof Deno.errors.PermissionDenied
      ? "permission denied; run it as root"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new NetError("unavailable", `Cannot ${what}: ${why}`, { cause });
  }
}
