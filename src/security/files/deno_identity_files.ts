import { NetError } from "../../base/error.ts";
import { DenoWholeFiles } from "../../system/deno_whole_files.ts";
import type { IdentityFile, IdentityFiles } from "./identity_files.ts";
import { readPrivateFile } from "../../system/trusted_path.ts";
import { checkSecretFile } from "../../system/secret_file.ts";

/** The folder with a node's identity, on this host. */
export class DenoIdentityFiles implements IdentityFiles {
  readonly dir: string;
  readonly #files = new DenoWholeFiles();

  /** @param dir made when it is missing, mode 0700 */
  constructor(dir: string) {
    this.dir = dir;
  }

  async read(file: IdentityFile): Promise<string | undefined> {
    const path = `${this.dir}/${file}`;
    await checkSecretFile(path);
    try {
      return readPrivateFile(path);
    } catch (error) {
      if (error instanceof NetError) throw error;
      throw unavailable(`read "${path}"`, error);
    }
  }

  async write(file: IdentityFile, text: string): Promise<void> {
    try {
      await Deno.mkdir(this.dir, { recursive: true, mode: 0o700 });
      await Deno.chmod(this.dir, 0o700);
    } catch (error) {
      throw unavailable(`make the folder "${this.dir}"`, error);
    }
    await this.#files.write(`${this.dir}/${file}`, pieces(text));
  }
}

async function* pieces(text: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield new TextEncoder().encode(text);
}

function unavailable(action: string, cause: unknown): NetError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new NetError("unavailable", `Cannot ${action}: ${what}`, { cause });
}
