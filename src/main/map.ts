import type { ServedMap } from "../cli/framework/io.ts";
import { type UiOptions, UiServer } from "../ui/server.ts";
import { PAGE } from "../gen/page.ts";

/** Serves the map until a signal ends it. */
export async function serveMap(
  transport: UiOptions["transport"],
  port: number | undefined,
): Promise<ServedMap> {
  const server = await UiServer.start({ transport, port, page: PAGE });
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, resolve);
  }
  return {
    link: server.link,
    port: server.port,
    ended: promise.then(() => server[Symbol.asyncDispose]()),
  };
}
