import assert from "node:assert/strict";
import { StellarCallError, type StellarClient } from "../../../src/cni/io.ts";
import { type PluginResult, withPlugin } from "./cni_calls.ts";

const CONFIG = {
  cniVersion: "0.4.0",
  ipam: {
    type: "stellar-cni-ipam",
    node_name: "node1",
    peer_addr: "127.0.0.1:9000",
    timeout: "2s",
  },
};
const ROUTES = [{ dst: "0.0.0.0/0", gw: "172.16.4.1" }];

/** Stellar's service on a model: the subnet of one node, and the holders of its addresses. */
class FakeStellar implements StellarClient {
  readonly held = new Map<string, string>();
  readonly calls: string[] = [];
  subnet = "172.16.4.0/22";
  /** What goes wrong after a call was carried out, by its name. */
  fail: Readonly<Record<string, "hang" | string>> = {};

  getSubnet(node: string): Promise<string> {
    assert.equal(node, "node1");
    return this.#end("getSubnet", this.subnet);
  }

  getIp({ id }: { readonly id: string }): Promise<string> {
    return this.#end("getIp", this.held.get(id) ?? "");
  }

  allocateIp(
    { id, subnet }: { readonly id: string; readonly subnet: string },
  ): Promise<string> {
    assert.equal(subnet, this.subnet);
    const ip = `172.16.4.${this.held.size + 2}`;
    this.held.set(id, ip);
    return this.#end("allocateIp", ip);
  }

  releaseIp({ id }: { readonly id: string }): Promise<void> {
    this.held.delete(id);
    return this.#end("releaseIp", undefined);
  }

  #end<T>(call: string, value: T): Promise<T> {
    this.calls.push(call);
    const fault = this.fail[call];
    if (fault === undefined) return Promise.resolve(value);
    if (fault === "hang") return new Promise(() => {});
    return Promise.reject(new StellarCallError(fault, `no ${call}`));
  }
}

async function withStellar(
  use: (world: {
    readonly stellar: FakeStellar;
    call(
      verb: string,
      options?: {
        readonly env?: Record<string, string>;
        readonly config?: Record<string, unknown>;
      },
    ): Promise<PluginResult>;
  }) => Promise<void>,
): Promise<void> {
  const stellar = new FakeStellar();
  await withPlugin(({ call }) =>
    use({
      stellar,
      call: (verb, { env = {}, config = {} } = {}) =>
        call(verb, {
          env,
          config: { ...CONFIG, ...config },
          io: {
            connectStellar: (peer) => {
              assert.equal(peer, "127.0.0.1:9000");
              return Promise.resolve(stellar);
            },
          },
        }),
    })
  );
}

function codeOf({ code, output }: PluginResult): unknown {
  assert.equal(code, 1);
  return output?.code;
}

Deno.test("cniMain() in Stellar's kind gives the result of Stellar's plugin", async (t) => {
  await withStellar(async ({ stellar, call }) => {
    const address = { address: "172.16.4.2/22", gateway: "172.16.4.1" };
    await t.step("ADD", async () => {
      assert.deepEqual((await call("ADD")).output, {
        cniVersion: "0.4.0",
        ips: [{ version: "4", ...address }],
        routes: ROUTES,
        dns: {},
      });
      assert.deepEqual([...stellar.held], [["c1", "172.16.4.2"]]);
    });
    await t.step("ADD again gives the same", async () => {
      const { output } = await call("ADD");
      assert.deepEqual(output?.ips, [{ version: "4", ...address }]);
    });
    await t.step("ADD of another interface", async () => {
      const { output } = await call("ADD", { env: { CNI_IFNAME: "eth1" } });
      assert.deepEqual(output?.ips, [
        { version: "4", address: "172.16.4.3/22", gateway: "172.16.4.1" },
      ]);
      assert.deepEqual([...stellar.held.keys()], ["c1", "c1:eth1"]);
    });
    await t.step("routes of the configuration come first", async () => {
      const routes = [{ dst: "10.0.0.0/8" }];
      const { output } = await call("ADD", {
        config: { ipam: { ...CONFIG.ipam, routes } },
      });
      assert.deepEqual(output?.routes, [...routes, ...ROUTES]);
    });
    await t.step("CHECK", async () => {
      const check = (prevResult: unknown) =>
        call("CHECK", { config: { prevResult } });
      assert.equal((await check({ ips: [address] })).output, undefined);
      const other = { ips: [{ address: "172.16.4.9/22" }] };
      assert.equal(codeOf(await check(other)), 103);
    });
    await t.step("DEL", async () => {
      assert.deepEqual((await call("DEL")).code, 0);
      assert.deepEqual([...stellar.held.keys()], ["c1:eth1"]);
    });
    await t.step("DEL of what is gone", async () => {
      const { code, output } = await call("DEL");
      assert.deepEqual([code, output], [0, undefined]);
    });
    await t.step("CHECK of what is gone", async () => {
      const result = await call("CHECK", { config: { prevResult: {} } });
      assert.equal(codeOf(result), 103);
    });
    await t.step("GC asks nothing: the API cannot list owners", async () => {
      stellar.calls.length = 0;
      const { code } = await call("GC", {
        config: { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] },
      });
      assert.deepEqual([code, stellar.calls], [0, []]);
    });
    await t.step("STATUS", async () => {
      const config = { cniVersion: "1.1.0" };
      assert.equal((await call("STATUS", { config })).code, 0);
      stellar.fail = { getSubnet: "unavailable" };
      assert.equal(codeOf(await call("STATUS", { config })), 50);
    });
  });
});

Deno.test("cniMain() in Stellar's mode undoes a failed ADD, and only its own allocation", async (t) => {
  const rows: readonly [
    name: string,
    fail: Record<string, string>,
    code: number,
  ][] = [
    ["no answer", { allocateIp: "hang" }, 11],
    ["unavailable", { allocateIp: "unavailable" }, 11],
    ["full", { allocateIp: "resource_exhausted" }, 50],
    ["a defect", { allocateIp: "unknown" }, 101],
  ];
  for (const [name, fail, code] of rows) {
    await t.step(name, () =>
      withStellar(async ({ stellar, call }) => {
        stellar.fail = fail;
        assert.equal(codeOf(await call("ADD")), code);
        assert.deepEqual([...stellar.held], []);
      }));
  }
  await t.step(
    "an invalid subnet",
    () =>
      withStellar(async ({ stellar, call }) => {
        stellar.subnet = "172.16.4.0";
        assert.equal(codeOf(await call("ADD")), 5);
        assert.deepEqual([...stellar.held], []);
      }),
  );
  await t.step(
    "an address that was held before",
    () =>
      withStellar(async ({ stellar, call }) => {
        stellar.held.set("c1", "no address");
        assert.equal(codeOf(await call("ADD")), 5);
        assert.equal(stellar.held.size, 1);
      }),
  );
});

Deno.test("cniMain() in Stellar's kind: what it cannot do, it says", async (t) => {
  await withStellar(async ({ stellar, call }) => {
    await t.step("an address by number", async () => {
      const result = await call("ADD", { env: { CNI_ARGS: "IP=172.16.4.9" } });
      assert.equal(codeOf(result), 102);
      assert.deepEqual(stellar.calls, []);
    });
    await t.step("DEL with the service down asks for another try", async () => {
      stellar.fail = { getIp: "unavailable" };
      const result = await call("DEL");
      assert.equal(codeOf(result), 11);
      assert.equal(
        result.output?.msg,
        `Cannot ask Stellar's service at "127.0.0.1:9000": no getIp`,
      );
    });
    await t.step("a node without a subnet", async () => {
      stellar.fail = { getSubnet: "not_found" };
      assert.equal(codeOf(await call("ADD")), 104);
    });
  });
});
