import type { TlsPaths } from "../../src/config/config.ts";
import {
  createRpcServer,
  type RpcServer,
} from "../../src/api/server/server.ts";
import type { RpcServerOptions } from "../../src/api/server/server.ts";
import { GivenCertificate } from "../../src/api/tls/given_certificate.ts";
import { withTempDir } from "./temp_dir.ts";
import { TestAuthority } from "./test_authority.ts";

/** A server with TLS on loopback, and the authority of its certificate. */
export interface RunningTlsServer {
  readonly server: RpcServer;
  readonly identity: GivenCertificate;
  readonly authority: TestAuthority;
  /** Its own certificate, which is good for a client as well. */
  readonly paths: TlsPaths;
  /** Folder of the certificates. */
  readonly dir: string;
  readonly port: number;
  /** "https://127.0.0.1:PORT". */
  readonly url: string;
}

/** Calls a function with a server that speaks TLS, and closes it with no grace. */
export function withTlsServer<T>(
  options: RpcServerOptions,
  use: (running: RunningTlsServer) => Promise<T>,
): Promise<T> {
  return withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const paths = await authority.issue("host");
    const identity = await GivenCertificate.open(paths);
    const server = createRpcServer({ ...options, tls: identity });
    try {
      const { port } = await server.listenTcp(
        { hostname: "127.0.0.1", port: 0 },
        { isSecure: true },
      );
      const url = `https://127.0.0.1:${port}`;
      return await use({ server, identity, authority, paths, dir, port, url });
    } finally {
      await server.close({ graceMs: 0 });
    }
  });
}
