import { NetError } from "../../base/error.ts";

/** Options of `openEtcd`. */
export interface EtcdOptions {
  /** Client endpoints of the members of one cluster, such as `h1:2379`, in order of preference. */
  readonly endpoints: readonly string[];
  /** Prefix of this store's keys: slashes and names, such as `/stellar-net`. */
  readonly prefix: string;
  /** Present for TLS. */
  readonly tls?: EtcdTlsPaths;
  /** Default: no user, or the one that the client's certificate names. */
  readonly user?: EtcdUser;
  /** Time limit for a call, all attempts together, in ms. Default 4,000. */
  readonly timeoutMs?: number;
}

/** Certificates and keys in PEM. */
export interface TlsMaterial {
  /** The trusted authorities. Default: public ones. */
  readonly ca?: string;
  /** The client's own. */
  readonly cert?: string;
  readonly key?: string;
}

/** Paths of files in PEM, read again for each connection. */
export interface EtcdTlsPaths {
  /** The trusted authorities. Default: public ones. */
  readonly caPath?: string | undefined;
  /** The client's certificate, and its key. */
  readonly certPath?: string | undefined;
  readonly keyPath?: string | undefined;
}

export interface EtcdUser {
  readonly name: string;
  /** Path of a file with the password, read again for each connection. */
  readonly passwordPath: string;
}

/** @throws {RangeError} when the options cannot be right */
export function checkEtcdOptions(options: EtcdOptions): void {
  const { endpoints, prefix, tls } = options;
  if (endpoints.length === 0) {
    throw new RangeError("Cannot open etcd: no endpoint is named");
  }
  for (const endpoint of endpoints) {
    if (!/^(?:\[[0-9a-f:.]+\]|[^\s:/?#@[\]]+):\d{1,5}$/i.test(endpoint)) {
      throw new RangeError(
        `Cannot open etcd: "${endpoint}" is not a host and a port`,
      );
    }
  }
  if (!/^(?:\/[\w.~-]+)+$/.test(prefix)) {
    throw new RangeError(
      `Cannot open etcd: the prefix "${prefix}" is not made of slashes and names`,
    );
  }
  if ((tls?.certPath === undefined) !== (tls?.keyPath === undefined)) {
    throw new RangeError(
      "Cannot open etcd: a certificate and its key go together",
    );
  }
}

/** Reads the certificates. @throws {NetError} `failed_precondition` when one cannot be read */
export async function readTls(paths: EtcdTlsPaths): Promise<TlsMaterial> {
  const { caPath, certPath, keyPath } = paths;
  return {
    ...caPath === undefined ? {} : { ca: await readText(caPath) },
    ...certPath === undefined ? {} : { cert: await readText(certPath) },
    ...keyPath === undefined ? {} : { key: await readText(keyPath) },
  };
}

/** Reads a password: the file's first line. @throws {NetError} as `readTls` */
export async function readPassword(
  { passwordPath }: EtcdUser,
): Promise<string> {
  const [password] = (await readText(passwordPath)).split(/\r?\n/);
  if (password) return password;
  throw new NetError(
    "failed_precondition",
    `Cannot read the password in "${passwordPath}": its first line is empty`,
  );
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new NetError(
      "failed_precondition",
      `Cannot read "${path}": ${
        cause instanceof Deno.errors.NotFound
          ? "there is no such file"
          : cause instanceof Deno.errors.PermissionDenied
          ? "this user may not read it"
          : (cause as Error).message
      }`,
      { cause },
    );
  }
}
