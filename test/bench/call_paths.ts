/**
 * Counts the source files that a call enters in a live agent, for the four
 * paths of docs/architecture.md, and prints them as JSON. It changes routes:
 * run it in a network namespace of its own.
 *
 *     unshare --net deno run -A test/bench/call_paths.ts
 */
import { createClient } from "@connectrpc/connect";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { CallCoverage } from "../support/call_coverage.ts";
import { callPlugin, installPlugin, must } from "../support/cni_plugin.ts";
import { freePort } from "../support/free_port.ts";
import { createGrpcJsClient } from "../support/grpc_js.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

/** The functions that each of the calls enters, by file, by the path's name. */
export type CallPaths = Readonly<
  Record<string, Readonly<Record<string, readonly string[]>>>
>;

const CALLS = 100;
/** Fewer, since each takes a while; enough that no periodic task runs in all of them. */
const ROUTES = 20;
const ADDS = 20;

async function measure(): Promise<CallPaths> {
  await must("ip", ["link", "set", "lo", "up"]);
  await must(
    "ip",
    ["link", "add", "up0", "type", "veth", "peer", "name", "up1"],
  );
  await must("ip", ["address", "add", "198.18.0.1/24", "dev", "up0"]);
  for (const link of ["up0", "up1"]) {
    await must("ip", ["link", "set", link, "up"]);
  }
  const port = freePort();
  await using agent = await spawnAgent({
    denoArgs: [`--inspect=127.0.0.1:${port}`],
    args: ["--routes", "apply", "--no-blackhole", "--advertise", "198.18.0.1"],
  });
  using coverage = await CallCoverage.open(port);
  const entries: [string, Record<string, string[]>][] = [];
  for (const [name, [times, call]] of Object.entries(await callsOf(agent))) {
    // What only a first call does is not its path.
    await call(times);
    const files = await coverage.filesOf(
      Array.from({ length: times }, (_, i) => () => call(i)),
    );
    entries.push([name, Object.fromEntries(files)]);
  }
  return Object.fromEntries(entries);
}

async function callsOf(agent: SpawnedAgent) {
  const stellar = createGrpcJsClient(`127.0.0.1:${agent.port}`, {
    file: "stellar/services/network/v1/network.proto",
    service: "stellar.services.network.v1.Network",
  });
  const registry = createClient(
    RegistryService,
    createRpcTransport({ url: agent.url }),
  );
  const plugins = await Deno.makeTempDir({ prefix: "stellar-net-" });
  const plugin = await installPlugin(plugins);
  const calls: Record<
    string,
    readonly [
      times: number,
      call: (i: number) => Promise<unknown>,
    ]
  > = {
    "AllocateIP over gRPC": [
      CALLS,
      (i) => stellar.call("AllocateIP", { id: `c${i}`, node: "node1" }),
    ],
    "CNI ADD": [ADDS, async (i) => {
      const { code, stdout } = await callPlugin(plugin, {
        env: {
          CNI_COMMAND: "ADD",
          CNI_CONTAINERID: `cni${i}`,
          CNI_NETNS: "/proc/self/ns/net",
          CNI_IFNAME: "eth0",
          CNI_PATH: plugins,
          PATH: Deno.env.get("PATH") ?? "",
        },
        config: {
          cniVersion: "1.0.0",
          name: "stellar",
          ipam: { type: "stellar-net", socket: agent.socketPath },
        },
      });
      if (code !== 0) throw new Error(`Cannot add: ${stdout}`);
    }],
    "AddRoute until the kernel has it": [ROUTES, async (i) => {
      const cidr = `203.0.113.${i * 4}/30`;
      await stellar.call("AddRoute", { cidr, target: "198.18.0.2" });
      await waitFor(`the route to ${cidr}`, async () => {
        const { stdout } = await must("ip", ["route", "show", cidr]);
        return stdout !== "";
      });
    }],
    "Join at the registry": [CALLS, (i) =>
      registry.join({
        node: `host${i}`,
        instanceId: crypto.randomUUID(),
        advertised: [`198.18.1.${i + 1}`],
        apiUrl: `http://198.18.1.${i + 1}:9000`,
      })],
  };
  return calls;
}

if (import.meta.main) {
  console.log(JSON.stringify(await measure(), undefined, 1));
  Deno.exit();
}
