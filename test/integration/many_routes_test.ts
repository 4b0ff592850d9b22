import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import { waitFor } from "../support/wait_for.ts";

const ROUTES = 200_000;
/** What the routes may cost an agent that takes about 100 MiB without them. */
const MAX_EXTRA_MIB = 60;

Deno.test("a host with 200,000 routes of its own joins, in bounded memory", async () => {
  await using lab = await Lab.create({ hosts: 3 });
  const [plain, full] = [lab.host(2), lab.host(3)];
  await full.agent.kill("SIGTERM");
  // Some are inside the network, and one is in the way of the next subnet.
  const lines = Array.from({ length: ROUTES }, (_, i) => {
    const path = `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`;
    return `route add ${path} via 198.18.0.1`;
  }).concat(
    Array.from(
      { length: 100 },
      (_, i) => `route add 172.20.${i}.0/24 via 198.18.0.1`,
    ),
  );
  await Deno.writeTextFile(`${full.dir}/routes`, `${lines.join("\n")}\n`);
  await full.must("ip", ["-force", "-batch", `${full.dir}/routes`]);
  await full.agent.start();
  const subnets = await full.joined();
  assert.ok(subnets.length > 0);
  await waitFor(
    "the route to the others",
    async () => (await full.routes()).length >= 2,
  );
  // The registry has heard of the routes in the network, and of no others.
  const { stdout } = await lab.host(1).exec("stellar-net", [
    ...["subnet", "list", "--json"],
  ]);
  assert.match(stdout, /172\.20\.\d+\.0\/2[24]/);
  assert.doesNotMatch(stdout, /20\.0\.\d+\.0\/24/);
  const peak = async (pid: number) => {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  };
  const [few, many] = await Promise.all([
    peak(plain.agent.pid),
    peak(full.agent.pid),
  ]);
  assert.ok(
    many < few + MAX_EXTRA_MIB,
    `${Math.round(many)} MiB, ${Math.round(few)} MiB without the routes`,
  );
});
