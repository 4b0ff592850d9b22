import assert from "node:assert/strict";
import { runFake } from "../fake_io.ts";

const IPV4 = [{ cidr: "172.16.0.0/12", subnetPrefixLength: 22 }];
const DUAL = [...IPV4, { cidr: "fd00::/48", subnetPrefixLength: 64 }];

function registry(networks: typeof IPV4) {
  return { listNetworks: () => ({ networks }) };
}

Deno.test("cni install puts the plugin in place under both names, and says so", async () => {
  const run = await runFake(["cni", "install"], {
    plugins: ["/usr/lib/cni/bridge"],
  });
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.equal(
    run.stdout,
    "Copied to /usr/lib/cni/stellar-net\nCopied to /usr/lib/cni/stellar-cni-ipam\n",
  );
  assert.deepEqual(run.installs, [{
    dir: "/usr/lib/cni",
    names: ["stellar-net", "stellar-cni-ipam"],
    link: false,
    socketPath: "/run/stellar-net/agent.sock",
  }]);
});

Deno.test("cni install links into the given folder, and notes a missing bridge plugin", async () => {
  const run = await runFake(["cni", "install", "--plugin-dir", "/p", "--link"]);
  assert.match(run.stdout, /^Linked \/p\/stellar-net\n/);
  assert.match(run.stderr, /"\/p" has no bridge plugin/);
  assert.deepEqual(run.installs[0], {
    dir: "/p",
    names: ["stellar-net", "stellar-cni-ipam"],
    link: true,
    socketPath: "/run/stellar-net/agent.sock",
  });
});

Deno.test("cni config prints a list for this node", async () => {
  const run = await runFake(["cni", "config", "--socket", "/run/a.sock"], {
    registry: registry(DUAL),
    plugins: ["/usr/lib/cni/portmap"],
    uplinkMtu: 1400,
  });
  assert.equal(run.code, 0);
  assert.deepEqual(JSON.parse(run.stdout), {
    cniVersion: "1.0.0",
    name: "stellar",
    plugins: [
      {
        type: "bridge",
        bridge: "stellar0",
        isGateway: true,
        ipMasq: false,
        mtu: 1400,
        ipam: {
          type: "stellar-net",
          socket: "/run/a.sock",
          routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
});

Deno.test("cni config names the socket by its absolute path", async () => {
  const run = await runFake(["cni", "config", "--socket", "a.sock"], {
    registry: registry(IPV4),
  });
  const { plugins } = JSON.parse(run.stdout);
  assert.equal(plugins[0].ipam.socket, "/here/a.sock");
});

Deno.test("cni config leaves out plugins and MTU that the host does not have", async () => {
  const run = await runFake(
    ["cni", "config", "--name", "pods", "--bridge", "br1"],
    { registry: registry(IPV4) },
  );
  const { name, plugins } = JSON.parse(run.stdout);
  assert.equal(name, "pods");
  assert.equal(plugins.length, 1);
  assert.equal(plugins[0].bridge, "br1");
  assert.equal("mtu" in plugins[0], false);
  assert.deepEqual(plugins[0].ipam.routes, [{ dst: "0.0.0.0/0" }]);
});
