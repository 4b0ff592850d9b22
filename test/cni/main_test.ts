import assert from "node:assert/strict";
import { join } from "node:path";
import { type PluginResult, withPlugin } from "../cli/commands/cni_calls.ts";

const IPS = [{ address: "192.0.2.2/29", gateway: "192.0.2.1" }];
const REFUSED = { kind: "refuse", message: "not now" } as const;

function codeOf({ code, output }: PluginResult): unknown {
  assert.equal(code, 1);
  return output?.code;
}

function assertSilent(result: PluginResult): void {
  assert.deepEqual([result.code, result.output], [0, undefined]);
}

Deno.test("cniMain() ADD asks the agent and prints the result", async () => {
  await withPlugin(async ({ agent, call }) => {
    const routes = [{ dst: "0.0.0.0/0" }];
    const { code, output } = await call("ADD", {
      config: {
        ipam: { type: "stellar-net", socket: agent.socketPath, routes },
        dns: { nameservers: ["192.0.2.1"] },
      },
    });
    assert.equal(code, 0);
    assert.deepEqual(output, {
      cniVersion: "1.1.0",
      ips: IPS,
      routes,
      dns: { nameservers: ["192.0.2.1"] },
    });
    assert.deepEqual(agent.calls, [["Allocate", {
      owner: { network: "net", containerId: "c1", interfaceName: "eth0" },
      addresses: [],
      attachment: { netns: "/run/netns/c1" },
      id: agent.held.get("net/c1/eth0")!.id,
    }]]);
  });
});

Deno.test("cniMain() ADD gives an owner the same address again once its container is gone, and its other interface another", async () => {
  await withPlugin(async ({ agent, call }) => {
    const first = await call("ADD");
    assert.deepEqual(first.output?.ips, IPS);
    assert.equal(codeOf(await call("ADD")), 102);
    agent.gone.add("net/c1/eth0");
    assert.deepEqual(await call("ADD"), first);
    const other = await call("ADD", { env: { CNI_IFNAME: "eth1" } });
    assert.deepEqual(other.output?.ips, [
      { address: "192.0.2.3/29", gateway: "192.0.2.1" },
    ]);
    assertSilent(await call("DEL"));
    assert.deepEqual([...agent.held.keys()], ["net/c1/eth1"]);
  });
});

Deno.test("cniMain() ADD asks for addresses by number, in all three ways", async (t) => {
  const rows: readonly [
    name: string,
    env: Record<string, string>,
    config: Record<string, unknown>,
  ][] = [
    ["CNI_ARGS", { CNI_ARGS: "IP=192.0.2.5/29" }, {}],
    ["args", {}, { args: { cni: { ips: ["192.0.2.5"] } } }],
    ["runtimeConfig", {}, { runtimeConfig: { ips: ["192.0.2.5/29"] } }],
  ];
  for (const [name, env, config] of rows) {
    await t.step(name, () =>
      withPlugin(async ({ call }) => {
        const { output } = await call("ADD", { env, config });
        assert.deepEqual(output?.ips, [
          { address: "192.0.2.5/29", gateway: "192.0.2.1" },
        ]);
      }));
  }
});

Deno.test("cniMain() ADD gives the agent's refusals their codes", async (t) => {
  await withPlugin(async ({ agent, call }) => {
    const ask = (ip: string) => ({
      env: { CNI_CONTAINERID: "c2", CNI_ARGS: `IP=${ip}` },
    });
    await call("ADD");
    await t.step("an address that another holds", async () => {
      assert.equal(codeOf(await call("ADD", ask("192.0.2.2"))), 102);
    });
    await t.step("an address of another subnet", async () => {
      assert.equal(codeOf(await call("ADD", ask("192.0.2.99"))), 102);
    });
    const rows: readonly [rpcCode: string, code: number][] = [
      ["resource_exhausted", 50],
      ["failed_precondition", 50],
      ["unavailable", 11],
      ["deadline_exceeded", 11],
      ["invalid_argument", 104],
      ["permission_denied", 104],
      ["internal", 101],
    ];
    for (const [rpcCode, code] of rows) {
      await t.step(rpcCode, async () => {
        agent.fail({ ...REFUSED, code: rpcCode });
        const result = await call("ADD", { env: { CNI_CONTAINERID: "c2" } });
        assert.equal(codeOf(result), code);
        assert.equal(result.output?.msg, "not now");
      });
    }
    assert.deepEqual([...agent.held.keys()], ["net/c1/eth0"]);
  });
});

Deno.test("cniMain() answers in the version of the configuration", async (t) => {
  await withPlugin(async ({ agent, call }) => {
    const shapes: readonly [version: string | undefined, keys: string][] = [
      [undefined, "cniVersion,ip4,dns"],
      ["0.1.0", "cniVersion,ip4,dns"],
      ["0.2.0", "cniVersion,ip4,dns"],
      ["0.3.0", "cniVersion,ips,dns"],
      ["0.3.1", "cniVersion,ips,dns"],
      ["0.4.0", "cniVersion,ips,dns"],
      ["1.0.0", "cniVersion,ips,dns"],
      ["1.1.0", "cniVersion,ips,dns"],
    ];
    for (const [cniVersion, keys] of shapes) {
      await t.step(String(cniVersion), async () => {
        agent.gone.add("net/c1/eth0");
        const { output } = await call("ADD", { config: { cniVersion } });
        assert.equal(output?.cniVersion, cniVersion ?? "0.1.0");
        assert.equal(Object.keys(output!).join(), keys);
        const error = await call("ADD", {
          config: { cniVersion, ipam: {} },
        });
        assert.equal(error.output?.cniVersion, cniVersion ?? "0.1.0");
        assert.equal(codeOf(error), 7);
      });
    }
    await t.step("9.9.9, which it does not know", async () => {
      const error = await call("ADD", { config: { cniVersion: "9.9.9" } });
      assert.equal(error.output?.cniVersion, "1.1.0");
      assert.equal(codeOf(error), 1);
    });
  });
});

Deno.test("cniMain() DEL succeeds without an allocation, and prints nothing", async (t) => {
  await withPlugin(async ({ agent, call }) => {
    await t.step("never added", async () => assertSilent(await call("DEL")));
    await call("ADD");
    await t.step("added", async () => {
      assertSilent(await call("DEL", { env: { CNI_NETNS: "" } }));
      assert.equal(agent.held.size, 0);
      assert.equal(agent.calls.at(-1)?.[1].reason, "CNI DEL");
    });
    await t.step(
      "deleted already",
      async () => assertSilent(await call("DEL")),
    );
    await t.step("not found", async () => {
      agent.fail({ ...REFUSED, code: "not_found" });
      assertSilent(await call("DEL"));
    });
    await t.step("with what ADD would refuse", async () => {
      assertSilent(
        await call("DEL", {
          env: { CNI_ARGS: "FOO=1" },
          config: { args: 1, dns: 1, prevResult: 1 },
        }),
      );
    });
  });
});

Deno.test("cniMain() CHECK compares the allocation with prevResult", async (t) => {
  await withPlugin(async ({ call }) => {
    const check = (prevResult: unknown, env = {}) =>
      call("CHECK", { env, config: { cniVersion: "0.4.0", prevResult } });
    await call("ADD");
    await t.step(
      "the same",
      async () => assertSilent(await check({ ips: IPS })),
    );
    await t.step("another address", async () => {
      const ips = [{ address: "192.0.2.3/29" }];
      assert.equal(codeOf(await check({ ips })), 103);
    });
    await t.step("no prevResult", async () => {
      assert.equal(codeOf(await check(undefined)), 7);
    });
    await t.step("an unknown owner", async () => {
      const env = { CNI_CONTAINERID: "c2" };
      assert.equal(codeOf(await check({ ips: IPS }, env)), 103);
    });
  });
});

Deno.test("cniMain() GC keeps the named attachments, and releases nothing where none are named", async (t) => {
  const key = "cni.dev/valid-attachments";
  const all = ["net/c1/eth0", "net/c2/eth0", "other/c1/eth0"];
  const rows: readonly [
    name: string,
    config: Record<string, unknown>,
    left: readonly string[],
  ][] = [
    ["no key", {}, all],
    ["null", { [key]: null }, all],
    [
      "one kept",
      { [key]: [{ containerID: "c2", ifname: "eth0" }] },
      ["net/c2/eth0", "other/c1/eth0"],
    ],
    ["an empty list", { [key]: [] }, ["other/c1/eth0"]],
  ];
  for (const [name, config, left] of rows) {
    await t.step(name, () =>
      withPlugin(async ({ agent, call }) => {
        await call("ADD");
        await call("ADD", { env: { CNI_CONTAINERID: "c2" } });
        await call("ADD", { config: { name: "other" } });
        assertSilent(await call("GC", { config }));
        assert.deepEqual([...agent.held.keys()], left);
      }));
  }
});

Deno.test("cniMain() STATUS tells whether ADD would do", async (t) => {
  await withPlugin(async ({ agent, call }) => {
    await t.step("ready", async () => assertSilent(await call("STATUS")));
    await t.step("full", async () => {
      agent.isReady = false;
      assert.equal(codeOf(await call("STATUS")), 50);
    });
    for (const code of ["failed_precondition", "unavailable", "internal"]) {
      await t.step(code, async () => {
        agent.fail({ ...REFUSED, code });
        assert.equal(codeOf(await call("STATUS")), 50);
      });
    }
    await t.step("a configuration that ADD would refuse", async () => {
      const result = await call("STATUS", { config: { dns: 1 } });
      assert.equal(codeOf(result), 7);
    });
  });
});

Deno.test("cniMain() VERSION asks nobody", async (t) => {
  await withPlugin(async ({ agent, call }) => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    const rows: readonly [text: string, version: string][] = [
      ["", "1.1.0"],
      ["not JSON", "1.1.0"],
      ['{"cniVersion":"0.4.0"}', "0.4.0"],
      ['{"cniVersion":"9.9.9"}', "1.1.0"],
    ];
    for (const [text, version] of rows) {
      await t.step(JSON.stringify(text), async () => {
        const { code, output } = await call("VERSION", { config: bytes(text) });
        assert.equal(code, 0);
        assert.equal(output?.cniVersion, version);
        assert.equal((output?.supportedVersions as string[]).length, 7);
      });
    }
    assert.deepEqual(agent.calls, []);
  });
});

Deno.test("cniMain() takes the socket of the configuration, else of the environment", async (t) => {
  await withPlugin(async ({ agent, socketPath, queueDir, call }) => {
    const ipam = { type: "stellar-net", queue: queueDir };
    const rows: readonly [
      name: string,
      env: Record<string, string>,
      socket: string | undefined,
      code: number | undefined,
    ][] = [
      ["environment", { STELLAR_NET_SOCKET: socketPath }, undefined, undefined],
      ["both", { STELLAR_NET_SOCKET: "/none.sock" }, socketPath, undefined],
      ["one where none is", { STELLAR_NET_SOCKET: "/none" }, undefined, 11],
      ["a relative path", { STELLAR_NET_SOCKET: "a.sock" }, undefined, 4],
    ];
    for (const [name, env, socket, code] of rows) {
      await t.step(name, async () => {
        agent.gone.add("net/c1/eth0");
        const config = { ipam: { ...ipam, ...(socket && { socket }) } };
        const { output } = await call("ADD", { env, config });
        assert.equal(output?.code, code);
      });
    }
  });
});

Deno.test("cniMain() with the agent down: ADD and GC say try again, STATUS not available", async (t) => {
  await withPlugin(async ({ socketPath, queueDir, call }) => {
    const socket = `${socketPath}.none`;
    const config = {
      ipam: { type: "stellar-net", socket, queue: queueDir },
      "cni.dev/valid-attachments": [],
      prevResult: { ips: IPS },
    };
    const rows: readonly [verb: string, code: number][] = [
      ["ADD", 11],
      ["CHECK", 11],
      ["GC", 11],
      ["STATUS", 50],
    ];
    for (const [verb, code] of rows) {
      await t.step(verb, async () => {
        const result = await call(verb, { config });
        assert.equal(codeOf(result), code);
        assert.match(
          String(result.output?.msg),
          /not reached at ".*": there is no such socket; start it/,
        );
      });
    }
    await t.step("a file that is not a socket", async () => {
      const path = join(queueDir, "..", "file");
      await Deno.writeTextFile(path, "");
      const ipam = { ...config.ipam, socket: path };
      const result = await call("ADD", { config: { ipam } });
      assert.equal(codeOf(result), 11);
      assert.match(String(result.output?.msg), /nothing listens there/);
    });
  });
});
