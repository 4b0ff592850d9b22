/**
 * Calls Stellar's service from a process of its own, as one kind of client: a
 * JSON line with a call and its request in, a JSON line with what came of it
 * out. The first argument is the kind, the second the target, as JSON.
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { STELLAR_TLS_CLIENTS } from "./stellar_clients.ts";

const [kind = "", target = ""] = Deno.args;
const client = STELLAR_TLS_CLIENTS[kind]!(JSON.parse(target));
for await (const line of createInterface({ input: process.stdin })) {
  const { call, request } = JSON.parse(line);
  console.log(JSON.stringify(await client.call(call, request)));
}
// A client of grpc-js that is refused tries again for as long as its process lasts.
Deno.exit();
