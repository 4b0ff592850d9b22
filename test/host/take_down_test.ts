import assert from "node:assert/strict";
import { takeDown } from "../../src/host/take_down.ts";
import type { HostState } from "../../src/host/plan/host_plan.ts";
import type { HostLink } from "../../src/routes/plan/ip_json.ts";
import { FakeHostNetwork } from "../fake/fake_host_network.ts";

const BRIDGE: HostLink = {
  name: "stellar0",
  kind: "bridge",
  isUp: true,
  mtuBytes: 1500,
  addresses: [],
};
const PORT: HostLink = {
  ...BRIDGE,
  name: "veth1",
  kind: "veth",
  master: "stellar0",
};

/** No routes, of anybody. */
const routes = {
  read: () => Promise.resolve({ links: [], routes: [] }),
  apply: () => Promise.resolve([]),
  async *monitor() {},
};

/** Takes down what is on a host with interfaces and no packet filters. */
async function run(
  links: readonly HostLink[],
  options: {
    readonly isDryRun?: boolean;
    readonly state?: Partial<HostState>;
  } = {},
) {
  const network = new FakeHostNetwork({
    isNetAdmin: true,
    interfaces: { links, defaultRoutes: [] },
    sysctls: new Map([["net/ipv4/ip_forward", "1"]]),
    tables: [],
    filters: [],
    problems: [],
    ...options.state,
  });
  const report = await takeDown({
    ...{ routes, network, protocol: 83, bridge: "stellar0" },
    isDryRun: options.isDryRun ?? false,
  });
  return { ...report, host: network.describe(), asked: network.asked };
}

Deno.test("takeDown() removes the bridge, and leaves forwarding as it is", async () => {
  const { done, left, host } = await run([BRIDGE]);
  assert.deepEqual(done, ["ip link delete dev stellar0 type bridge"]);
  assert.deepEqual([left, host], [[], ["net/ipv4/ip_forward=1"]]);
});

Deno.test("takeDown() previews its work", async () => {
  const { done, asked } = await run([BRIDGE], { isDryRun: true });
  assert.deepEqual(done, ["ip link delete dev stellar0 type bridge"]);
  assert.deepEqual(asked, []);
});

Deno.test("takeDown() leaves what belongs to others, is in use, or cannot be read", async (t) => {
  const rows: readonly [
    name: string,
    links: readonly HostLink[],
    left: readonly string[],
  ][] = [
    ["nothing there", [], []],
    ["no bridge", [{ ...BRIDGE, kind: "veth" }], []],
    ["another's", [{ ...BRIDGE, name: "br0" }], []],
    ["in use", [BRIDGE, PORT], [
      'the bridge "stellar0" has veth1: remove the containers first',
    ]],
  ];
  for (const [name, links, left] of rows) {
    await t.step(name, async () => {
      const report = await run(links);
      assert.deepEqual([report.done, report.left], [[], left]);
      assert.deepEqual(report.asked, []);
    });
  }
  await t.step("unreadable", async () => {
    const problems = [{ tool: "nft", message: "nft is not installed" }];
    const state = { interfaces: undefined, tables: undefined, problems };
    const { done, left } = await run([], { state });
    assert.deepEqual([done, left], [[], ["nft is not installed"]]);
  });
});
