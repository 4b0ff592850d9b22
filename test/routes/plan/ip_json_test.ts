import assert from "node:assert/strict";
import { formatPrefix } from "../../../src/net/prefix.ts";
import { parseKernelRoutes } from "../../../src/routes/plan/ip_json.ts";
import { hostPrefixes } from "../../../src/routes/plan/kernel_route.ts";
import { parseLinks } from "../../../src/routes/plan/links_json.ts";

function prefixes(addresses: string, routes: string): string[] {
  const links = parseLinks(addresses);
  return hostPrefixes({ links, routes: parseKernelRoutes(routes) }, 83)
    .map((p) => `${formatPrefix(p.prefix)} ${p.device}`);
}

Deno.test("hostPrefixes() gives the prefix of each address", () => {
  const text = JSON.stringify([
    { ifname: "ifb0", addr_info: [] },
    {
      ifname: "docker0",
      addr_info: [
        { family: "inet", local: "172.17.0.1", prefixlen: 16 },
        { family: "inet6", local: "fd00::1", prefixlen: 64 },
      ],
    },
  ]);
  assert.deepEqual(prefixes(text, ""), [
    "172.17.0.0/16 docker0",
    "fd00::/64 docker0",
  ]);
});

Deno.test("hostPrefixes() leaves out default routes and our own", () => {
  const text = JSON.stringify([
    { dst: "default", gateway: "192.0.2.1", dev: "eth0" },
    { dst: "10.1.0.0/16", gateway: "192.0.2.9", dev: "eth0" },
    { dst: "10.2.0.1", dev: "tun0", protocol: "static" },
    { type: "blackhole", dst: "10.3.0.0/24" },
    { dst: "172.16.4.0/22", gateway: "192.0.2.3", dev: "eth0", protocol: "83" },
    { dst: "fd01::5", dev: "tun0" },
  ]);
  assert.deepEqual(prefixes("", text), [
    "10.1.0.0/16 eth0",
    "10.2.0.1/32 tun0",
    "10.3.0.0/24 blackhole",
    "fd01::5/128 tun0",
  ]);
});

Deno.test("parseKernelRoutes() takes no output for no routes, and refuses what is no list", () => {
  assert.deepEqual(parseKernelRoutes(""), []);
  assert.throws(() => parseKernelRoutes("{}"), SyntaxError);
  assert.throws(() => parseKernelRoutes("Error: x"), SyntaxError);
});
