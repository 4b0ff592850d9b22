import type { ListenAddress } from "../../src/config/config.ts";
import {
  createRpcServer,
  type RpcServer,
  type RpcServerOptions,
} from "../../src/api/server/server.ts";
import { withTempDir } from "./temp_dir.ts";

/** A server that listens on loopback and on a unix socket. */
export interface RunningServer {
  readonly server: RpcServer;
  readonly address: ListenAddress;
  /** "127.0.0.1:PORT". */
  readonly authority: string;
  /** "http://127.0.0.1:PORT". */
  readonly url: string;
  readonly socketPath: string;
}

/** Calls a function with a running server, and closes it with no grace. */
export function withRpcServer<T>(
  options: RpcServerOptions,
  use: (running: RunningServer) => Promise<T>,
): Promise<T> {
  return withTempDir(async (dir) => {
    const server = createRpcServer(options);
    try {
      const socketPath = `${dir}/agent.sock`;
      await server.listenUnix(socketPath);
      const address = await server.listenTcp({
        hostname: "127.0.0.1",
        port: 0,
      });
      const authority = `127.0.0.1:${address.port}`;
      const url = `http://${authority}`;
      return await use({ server, address, authority, url, socketPath });
    } finally {
      await server.close({ graceMs: 0 });
    }
  });
}
