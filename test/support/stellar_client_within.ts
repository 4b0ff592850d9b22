import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Namespace } from "./namespace.ts";
import type { StellarClient, StellarTarget } from "./stellar_clients.ts";

const MAIN = fileURLToPath(new URL("stellar_client_main.ts", import.meta.url));

/** Makes a client of a kind of STELLAR_TLS_CLIENTS in a namespace, as a process of its own. */
export function createClientWithin(
  { within }: Namespace,
  kind: string,
  target: StellarTarget,
): StellarClient {
  const args = [Deno.execPath(), "run", "-A", MAIN, kind]
    .concat(JSON.stringify(target));
  const [command, ...words] = [...within, ...args];
  const child = new Deno.Command(command!, {
    args: words,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const texts = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    async call(call, request = {}) {
      const line = `${JSON.stringify({ call, request })}\n`;
      await writer.write(new TextEncoder().encode(line));
      let answer = "";
      while (!answer.endsWith("\n")) {
        const { done, value } = await texts.read();
        assert.ok(!done, `the client of ${kind} ended`);
        answer += value;
      }
      return JSON.parse(answer);
    },
    async [Symbol.asyncDispose]() {
      await writer.close();
      await texts.cancel();
      await child.status;
    },
  };
}
