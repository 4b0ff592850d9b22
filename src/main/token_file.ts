import { NetError } from "../base/error.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import { type JoinToken, parseToken } from "../security/pki/token.ts";

const MAKE =
  'write what "stellar-net token create" prints on the registry\'s host into it';

/**
 * Reads the file with a token.
 *
 * @throws {NetError} naming the file: `not_found` when there is none,
 * `failed_precondition` when others may use it or it holds no token
 */
export async function readTokenFile(path: string): Promise<JoinToken> {
  await checkSecretFile(path);
  try {
    return parseToken(await Deno.readTextFile(path));
  } catch (cause) {
    const isMissing = cause instanceof Deno.errors.NotFound;
    const what = isMissing
      ? `there is no such file; ${MAKE}`
      : cause instanceof Deno.errors.IsADirectory
      ? `it is a folder, not a file; ${MAKE}`
      : cause instanceof RangeError
      ? `${cause.message.replace(/^The join token/, "it")}; ${MAKE}`
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new NetError(
      isMissing ? "not_found" : "failed_precondition",
      `Cannot use the token in "${path}": ${what}`,
      { cause },
    );
  }
}
