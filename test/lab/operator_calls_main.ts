/**
 * Calls agents over TLS with an operator's identity, without pause, until
 * stdin ends. Writes what came of it as lines of JSON: caller to tally.
 *
 * Arguments: the identity's folder, a node whose addresses are used, and
 * `NAME=ADDRESS` for each agent, that of the registry first.
 */
import { existsSync, statSync } from "node:fs";
import { createClients } from "../../src/cli/framework/client.ts";
import { openTransportAs } from "../../src/main/operators.ts";
import { createGrpcJsClient, type GrpcJsClient } from "../support/grpc_js.ts";
import { SteadyCalls } from "./steady_calls.ts";

const TIMEOUT_MS = 8_000;
const REPORT_MS = 100;
/** So many calls are made with one identity: then it is read anew, as by the next command. */
const CALLS_PER_COMMAND = 10;
/** On the hosts' link, and of no host. */
const NEXT_HOP = "198.18.0.250";

const [dir, node, ...places] = Deno.args as [string, string, ...string[]];
const agents = places.map((place) => place.split("=") as [string, string]);
const calls = new SteadyCalls();

/** As the command line: an identity is opened, renewed when that is due, and used. */
function command(address: string) {
  let clients: Awaited<ReturnType<typeof open>>;
  const open = async () =>
    createClients(
      await openTransportAs(
        { identity: dir, url: `https://${address}:9000` },
        { timeoutMs: TIMEOUT_MS, note: () => {} },
      ),
    );
  return async (turn: number) => {
    if (turn % CALLS_PER_COMMAND === 0) clients = await open();
    return clients;
  };
}

/** As a program of others: it opens another channel when the files are new. */
function grpcJs(name: string, address: string) {
  let client: GrpcJsClient | undefined;
  let madeMs = 0;
  return async () => {
    const atMs = statSync(`${dir}/chain.pem`).mtimeMs;
    if (atMs !== madeMs) {
      client?.close();
      madeMs = atMs;
      client = createGrpcJsClient(`${address}:9000`, {
        file: "stellar/net/v1/registry.proto",
        service: "stellar.net.v1.RegistryService",
        tls: {
          certPath: `${dir}/chain.pem`,
          keyPath: `${dir}/key.pem`,
          caPath: `${dir}/ca.pem`,
        },
        channelOptions: { "grpc.ssl_target_name_override": name },
      });
    }
    // Its deadlines are times of day, and the clock is moved.
    await client!.call("ListNodes", {});
  };
}

for (const [index, [name, address]] of agents.entries()) {
  const as = command(address);
  calls.add(`operator at ${name}`, async (turn) => {
    const { registry, ipam } = await as(turn);
    const cidr = `10.201.${index}.0/24`;
    await registry.addRoute({ cidr, target: NEXT_HOP });
    await registry.listNodes({});
    // The agent forwards the call to the one that answers for that node.
    const owner = { network: "load", containerId: name, interfaceName: "e" };
    await ipam.allocate({ node, owner });
    await ipam.release({ node, owner });
    await registry.deleteRoute({ cidr });
  });
  calls.add(`grpc-js at ${name}`, grpcJs(name, address));
}

/** Follows the registry for as long as that lasts, and holds its revisions against each other. */
async function watch(): Promise<void> {
  const tally = calls.tallyOf("watch");
  const clients = await command(agents[0]![1])(0);
  let revision = 0n;
  const routes = new Set<string>();
  const wrong = (what: string) => tally.failures.push(what);
  for await (const event of clients.registry.watch({}, { timeoutMs: 0 })) {
    if (event.snapshot && revision > 0n) wrong("a second snapshot");
    if (event.revision < revision) wrong(`${event.revision} < ${revision}`);
    for (const { cidr } of event.routes) routes.add(cidr);
    for (const cidr of event.removedRoutes) {
      // It may have come and gone between two events.
      routes.delete(cidr);
    }
    if (event.removedNodes.length > 0) wrong(`${event.removedNodes} removed`);
    revision = event.revision;
    tally.answered++;
  }
}

if (!existsSync(`${dir}/chain.pem`)) throw new Error(`No identity in ${dir}`);
const watching = watch().then(
  () => calls.tallyOf("watch").failures.push("it has ended"),
  (error) => calls.tallyOf("watch").failures.push(String(error)),
);
void watching;
const report = () =>
  console.log(JSON.stringify(Object.fromEntries(calls.tallies)));
const timer = setInterval(report, REPORT_MS);
for await (const _ of Deno.stdin.readable);
clearInterval(timer);
await calls.stop();
report();
Deno.exit(0);
