import type {
  IdentityFile,
  IdentityFiles,
} from "../../src/security/files/identity_files.ts";

/** Files of an identity in memory. */
export class MemoryIdentityFiles implements IdentityFiles {
  readonly dir = "/state/identity";
  readonly texts = new Map<IdentityFile, string>();
  /** What was written, in its order. */
  readonly written: IdentityFile[] = [];

  read(file: IdentityFile): Promise<string | undefined> {
    return Promise.resolve(this.texts.get(file));
  }

  write(file: IdentityFile, text: string): Promise<void> {
    this.texts.set(file, text);
    this.written.push(file);
    return Promise.resolve();
  }
}
