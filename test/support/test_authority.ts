import { join } from "node:path";
import type { TlsPaths } from "../../src/config/config.ts";
import { run } from "./run.ts";

/** What a client checks a server with, and what it shows, if anything. */
export interface ShownCertificate {
  readonly caPath: string;
  readonly certPath?: string | undefined;
  readonly keyPath?: string | undefined;
}

/** What a certificate says, where it differs from one of a host in order. */
export interface IssueOptions {
  /** Default `IP:127.0.0.1,DNS:localhost`. */
  readonly names?: string;
  /** Days from now on. Default 2; one that has ended has -1. */
  readonly days?: number;
  /** Hours since its days began. Default 0. */
  readonly startedHoursAgo?: number;
  /** Default `serverAuth,clientAuth`. */
  readonly usage?: string;
  /** Default `/OU=node/CN=NAME`. */
  readonly subject?: string;
  /** Whether it signs itself. Default false. */
  readonly isSelfSigned?: boolean;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
  .concat("-nodes");

/**
 * The library of faketime(1). The program itself names its semaphore by its
 * process id, which processes in other namespaces have too.
 */
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/** An authority that a test makes with openssl, in a folder of the test. */
export class TestAuthority {
  readonly caPath: string;
  readonly #dir: string;
  readonly #name: string;

  private constructor(dir: string, name: string) {
    this.#dir = dir;
    this.#name = name;
    this.caPath = join(dir, `${name}.pem`);
  }

  /** Makes its key and its certificate. @param dir a folder that is there */
  static async create(
    dir: string,
    name = "ca",
    { days = 2 }: { readonly days?: number } = {},
  ): Promise<TestAuthority> {
    const authority = new TestAuthority(dir, name);
    await authority.#openssl(
      ["req", "-x509", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.pem`]
        .concat("-days", String(days), "-subj", `/CN=${name}`),
    );
    return authority;
  }

  /** Makes a certificate and its key: `NAME.pem` and `NAME.key`, which it replaces. */
  async issue(name: string, options: IssueOptions = {}): Promise<TlsPaths> {
    const {
      names = "IP:127.0.0.1,DNS:localhost",
      days = 2,
      startedHoursAgo = 0,
      usage = "serverAuth,clientAuth",
      subject = `/OU=node/CN=${name}`,
      isSelfSigned = false,
    } = options;
    await Deno.writeTextFile(
      join(this.#dir, `${name}.ext`),
      `subjectAltName=${names}\nextendedKeyUsage=${usage}\n`,
    );
    await this.#openssl(
      ["req", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.csr`]
        .concat("-subj", subject),
    );
    const hours = startedHoursAgo;
    await this.#openssl([
      ...["x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`],
      ...["-days", String(days), "-extfile", `${name}.ext`],
      ...isSelfSigned
        ? ["-signkey", `${name}.key`]
        : ["-CA", `${this.#name}.pem`, "-CAkey", `${this.#name}.key`]
          .concat("-CAcreateserial"),
    ], hours === 0 ? {} : { LD_PRELOAD: FAKETIME, FAKETIME: `-${hours}h` });
    return {
      caPath: this.caPath,
      certPath: join(this.#dir, `${name}.pem`),
      keyPath: join(this.#dir, `${name}.key`),
    };
  }

  async #openssl(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const { code, stderr } = await run("openssl", args, {
      ...{ cwd: this.#dir, env },
    });
    if (code !== 0) throw new Error(`Cannot run openssl ${args[0]}: ${stderr}`);
  }
}
