import assert from "node:assert/strict";
import {
  type DockerNetwork,
  parseNetwork,
} from "../../src/docker/plan/networks.ts";
import { concerns } from "../../src/docker/plan/order.ts";
import {
  checkDocker,
  type DockerFacts,
} from "../../src/doctor/docker_checks.ts";
import { formatFix } from "../../src/host/checks/check.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { describeNetwork } from "../docker/networks.ts";
import { assertPasteable } from "../lab/faults/fault.ts";

const OPTIONS = {
  "com.docker.network.bridge.name": "stellar0",
  "com.docker.network.bridge.enable_ip_masquerade": "false",
};

function network(
  options: Readonly<Record<string, string>> = {},
  containers: Parameters<typeof describeNetwork>[1] = {},
): DockerNetwork {
  const described = describeNetwork("web", containers);
  return parseNetwork({ ...described, Options: { ...OPTIONS, ...options } });
}

function check(facts: Partial<DockerFacts>) {
  return checkDocker({
    apiPath: "/run/docker.sock",
    networks: [network()],
    bridge: "stellar0",
    subnets: [parsePrefix("172.16.0.0/22")],
    conflicts: [],
    ...facts,
  });
}

const MASQUERADES = {
  "com.docker.network.bridge.enable_ip_masquerade": "true",
};

Deno.test("checkDocker() is green for networks as this node needs them, and for none", () => {
  assert.deepEqual(
    [...check({}), ...check({ networks: [] })].map(({ status, found }) => [
      status,
      found,
    ]),
    [
      ["ok", "network web is as this node needs it"],
      [
        "ok",
        "Docker has no network of this node yet: stellar-net docker install",
      ],
    ],
  );
});

Deno.test("checkDocker() names each fault of a network, with a command that makes it again", async () => {
  const found = check({ networks: [network(MASQUERADES)] });
  assert.deepEqual(found.map(({ status, found }) => [status, found]), [
    ["failed", "network web: it masquerades"],
  ]);
  const fix = formatFix(found[0]!.fix);
  assert.equal(
    fix,
    "docker network rm web && stellar-net docker install --network web --bridge stellar0 --docker-api /run/docker.sock",
  );
  await assertPasteable(fix);
});

Deno.test("checkDocker() gives no command that containers would refuse", () => {
  const used = network(MASQUERADES, { web1: { v4: "172.16.0.2" } });
  const [found] = check({ networks: [used] });
  assert.match(String(found?.fix), /^stop its containers \(web1\)/);
});

Deno.test("checkDocker() finds two networks on one bridge, conflicts, and a silent Docker", () => {
  const other = { ...network(), name: "db" };
  assert.deepEqual(
    check({ networks: [network(), other] }).map((c) => c.found),
    [
      "networks web and db share the bridge stellar0",
    ],
  );
  assert.deepEqual(check({ conflicts: ["x"] }).map((c) => c.found), ["x"]);
  const problem =
    'Cannot call Docker on "/run/docker.sock": it does not answer';
  const [silent] = check({ networks: { problem } });
  assert.deepEqual([silent?.status, silent?.found], [
    "warning",
    problem,
  ]);
});

Deno.test("concerns() finds networks of this driver, and those on the bridge", () => {
  const foreign = { ...network(), ipamDriver: "default" };
  const elsewhere = { ...foreign, options: {} };
  assert.deepEqual(
    [network(), foreign, elsewhere].map((each) => concerns(each, "stellar0")),
    [true, true, false],
  );
  assert.equal(concerns(elsewhere, undefined), false);
});
