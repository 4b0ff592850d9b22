import assert from "node:assert/strict";
import fc from "fast-check";
import { FakeIp } from "./fake_ip.ts";
import { formatCommands } from "./fake_ip_text.ts";
import { anyRoutes, createFakeHost, type } from "../routes/plan/kernels.ts";

Deno.test("FakeIp prints its state as the commands that build it", async () => {
  const up1 = ["link set up1 up", "link set far0 down"];
  await fc.assert(
    fc.asyncProperty(anyRoutes, fc.subarray(up1), async (routes, links) => {
      const ip = await createFakeHost([...links, ...routes]);
      const commands = formatCommands(ip);
      const other = new FakeIp();
      for (const command of commands) await type(other, command);
      assert.deepEqual(formatCommands(other), commands);
    }),
    { numRuns: 200 },
  );
});

Deno.test("FakeIp refuses unknown commands", async (t) => {
  const rows = [
    "route get 192.0.2.1",
    "route show",
    "route add 172.16.4.0/22 via 198.18.0.2 mtu 1400",
    "link add br0 type bridge",
    "monitor all",
    "address add 198.18.0.9/24 dev up0",
  ];
  const ip = await createFakeHost();
  for (const command of rows) {
    await t.step(
      command,
      () => assert.rejects(type(ip, command), /does not know|knows no/),
    );
  }
  await assert.rejects(ip.run({ program: "nft", args: [] }), /no nft here/);
});

Deno.test("FakeIp goes on after a line of a batch that the kernel refuses", async () => {
  const ip = await createFakeHost();
  const output = await ip.run({
    program: "ip",
    args: ["-force", "-batch", "-"],
    stdin: "route del 172.16.4.0/22\n" +
      "route add 172.16.4.0/22 via 198.18.0.2 proto 83\n" +
      "route add 172.16.8.0/22 via 198.18.9.2 proto 83\n",
  });
  assert.deepEqual(output, {
    code: 1,
    stdout: "",
    stderr: "RTNETLINK answers: No such process\nCommand failed -:1\n" +
      "Error: Nexthop has invalid gateway.\nCommand failed -:3\n",
  });
});
