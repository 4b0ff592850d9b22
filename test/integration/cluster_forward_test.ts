import { waitFor } from "../support/wait_for.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { createClients } from "../../src/cli/framework/client.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { startInOrder } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { run } from "../support/run.ts";

/** What `ip list` tells, as far as it is used. */
interface Allocations {
  readonly allocations: readonly {
    readonly owner: { readonly containerId: string };
    readonly addresses: readonly { readonly address: string }[];
  }[];
}

/** Container id to address, of a node, as a host's agent tells it. */
async function heldOn(
  asked: LabHost,
  node: string,
): Promise<Record<string, string>> {
  const { allocations } = await asked.ask<Allocations>(
    `ip list --node ${node}`,
  );
  return Object.fromEntries(
    allocations.map(({ owner, addresses }) => [
      owner.containerId,
      addresses[0]!.address,
    ]),
  );
}

async function allocate(
  asked: LabHost,
  node: string,
  id: string,
): Promise<string> {
  const { allocation } = await clientsOf(asked).ipam.allocate({
    node,
    owner: { containerId: id },
  });
  return allocation!.addresses[0]!.address;
}

function transportOf({ agent: { socketPath } }: LabHost) {
  return createRpcTransport({ socketPath }, { timeoutMs: 60_000 });
}

function clientsOf(host: LabHost) {
  return createClients(transportOf(host));
}

/** Calls a host's agent with headers of one's own, and returns the answer and how long it took, in ms. */
async function callRaw(
  host: LabHost,
  headers: readonly string[],
): Promise<[answer: Record<string, unknown>, tookMs: number]> {
  const start = performance.now();
  const { stdout } = await run("curl", [
    ...["--silent", "--unix-socket", host.agent.socketPath],
    ...headers.flatMap((header) => ["--header", header]),
    ...[
      "--json",
      JSON.stringify({ node: "host2", owner: { containerId: "x" } }),
    ],
    "http://localhost/stellar.net.v1.IpamService/GetAllocation",
  ]);
  return [JSON.parse(stdout), performance.now() - start];
}

Deno.test("whichever agent is asked, the one whose addresses they are answers", async (t) => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [registry, second, third, late] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const started = [registry, second, third];
  await startInOrder({ hosts: started } as unknown as Lab);

  await t.step(
    "a node's agent gives its addresses, whoever is asked",
    async () => {
      const given: Record<string, string> = {};
      for (const asked of started) {
        const id = `by-${asked.name}`;
        const line = ["ip", "allocate", id, "--node", second.name];
        const out = await asked.must("stellar-net", line);
        given[id] = /172\.16\.4\.\d+/.exec(out)![0];
      }
      assert.deepEqual(Object.values(given), [
        ...["172.16.4.2", "172.16.4.3", "172.16.4.4"],
      ]);
      for (const asked of started) {
        assert.deepEqual(await heldOn(asked, second.name), given);
      }
      const { ipam } = clientsOf(third);
      const owner = { containerId: "by-host1" };
      const { addresses } = await ipam.release({ node: second.name, owner });
      assert.deepEqual(addresses, ["172.16.4.2"]);
      delete given["by-host1"];
      assert.deepEqual(await heldOn(second, second.name), given);
      const { records } = await ipam.listHistory({
        ...{ node: second.name, address: "172.16.4.2", pageSize: 1 },
      });
      assert.equal(records[0]?.owner?.containerId, "by-host1");
    },
  );
  await t.step(
    "a watch of all nodes tells at one agent what the others do",
    async () => {
      const { socketPath } = third.agent;
      const watching = createClient(
        IpamService,
        createRpcTransport({ socketPath }),
      );
      const end = new AbortController();
      const seen = new Set<string>();
      const watch = async () => {
        const stream = watching.watchAllocations({ allNodes: true }, {
          signal: end.signal,
        });
        for await (const { node, allocations, removed } of stream) {
          for (const { owner } of allocations) {
            seen.add(`${node} +${owner!.containerId}`);
          }
          for (const { owner } of removed) {
            seen.add(`${node} -${owner!.containerId}`);
          }
        }
      };
      const watched = watch().catch(() => {});
      const patient = { timeoutMs: 60_000 };
      await waitFor(
        "what is held",
        () => seen.has(`${second.name} +by-host2`),
        patient,
      );
      const { ipam } = clientsOf(registry);
      for (const { name } of started) {
        const items = [{ owner: { containerId: "w1" } }];
        await ipam.batchAllocate({ node: name, items });
        await ipam.batchRelease({ node: name, items });
        await waitFor(
          `the changes of ${name}`,
          () => seen.has(`${name} -w1`),
          patient,
        );
      }
      end.abort();
      await watched;
    },
  );
  await t.step(
    "a host's own agent lists its routes, whoever is asked",
    async () => {
      for (const asked of started) {
        for (const { name } of started) {
          const { node, routes } = await clientsOf(asked).agent
            .listHostRoutes({ node: name });
          assert.equal(node, name);
          const others = started.map((other) => other.name)
            .filter((other) => other !== name);
          assert.deepEqual(routes.map((route) => route.node), others);
        }
        const { node } = await clientsOf(asked).agent.listHostRoutes({});
        assert.equal(node, asked.name);
      }
      await assert.rejects(
        clientsOf(third).agent.listHostRoutes({ node: "nobody" }),
        { code: "not_found" },
      );
    },
  );
  await t.step("errors come through as they are", async () => {
    await assert.rejects(
      clientsOf(third).ipam.allocate({
        node: second.name,
        owner: { containerId: "new" },
        addresses: ["172.16.4.1"],
      }),
      { code: "invalid_argument", message: /172\.16\.4\.1.*gateway/ },
    );
    await assert.rejects(allocate(third, "nobody", "c1"), {
      code: "not_found",
      message: /node "nobody" has none/,
    });
  });
  await t.step("the registry answers for a node without an agent", async () => {
    const network = createClient(Network, transportOf(second));
    const { subnetCidr } = await network.allocateSubnet({ node: late.name });
    assert.equal(subnetCidr, "172.16.12.0/22");
    for (const [index, asked] of started.entries()) {
      const { ip } = await createClient(Network, transportOf(asked))
        .allocateIP({ node: late.name, id: `c${index}` });
      assert.equal(ip, `172.16.12.${2 + index}`);
    }
    assert.equal(
      (await network.getIP({ node: late.name, id: "c2" })).ip,
      "172.16.12.4",
    );
    await network.releaseIP({ node: late.name, id: "c1" });
    for (const asked of started) {
      await assert.rejects(
        clientsOf(asked).agent.listHostRoutes({ node: late.name }),
        { code: "failed_precondition", message: /"host4": it runs no agent/ },
      );
    }
  });
  await t.step("a call that was sent on is not sent on again", async () => {
    const [answer] = await callRaw(third, ["stellar-net-forwarded-by: host1"]);
    assert.equal(answer["code"], "unavailable");
    assert.match(
      `${answer["message"]}`,
      /Cannot answer GetAllocation on node "host3": node "host1" takes it for this one's/,
    );
  });
  await t.step(
    "an agent that hangs costs no more than the caller's time",
    async () => {
      Deno.kill(second.agent.pid, "SIGSTOP");
      try {
        const [answer, tookMs] = await callRaw(third, [
          "connect-timeout-ms: 1500",
        ]);
        assert.equal(answer["code"], "deadline_exceeded");
        assert.ok(tookMs >= 1400 && tookMs < 30_000, `it took ${tookMs} ms`);
      } finally {
        Deno.kill(second.agent.pid, "SIGCONT");
      }
      const [answer] = await callRaw(third, ["connect-timeout-ms: 60000"]);
      assert.equal(answer["code"], "not_found");
    },
  );
  await t.step("an agent that is gone is named", async () => {
    await second.agent.kill();
    await assert.rejects(allocate(third, second.name, "c9"), {
      code: "unavailable",
      message: /Cannot reach the agent at "http:\/\/198\.18\.0\.12:9000"/,
    });
    await second.agent.start();
    await lab.waitFor(
      "its address",
      async () => await allocate(third, second.name, "c9") === "172.16.4.6",
    );
  });
  await t.step(
    "an agent takes over what its node was given over the API",
    async () => {
      const before = { c0: "172.16.12.2", c2: "172.16.12.4" };
      assert.deepEqual(await heldOn(third, late.name), before);
      await late.agent.start();
      assert.deepEqual(await late.joined(), ["172.16.12.0/22"]);
      assert.deepEqual(await heldOn(late, late.name), before);
      await lab.waitFor(
        "the others to ask it",
        async () =>
          (await third.ask<{ nodes: { name: string; state: string }[] }>(
            "node list",
          )).nodes.some(({ name, state }) =>
            name === late.name && state === "ready"
          ),
      );
      assert.equal(await allocate(third, late.name, "c0"), "172.16.12.2");
      assert.equal(await allocate(registry, late.name, "c7"), "172.16.12.5");
      assert.equal(await allocate(late, late.name, "c8"), "172.16.12.6");
      const after = { ...before, c7: "172.16.12.5", c8: "172.16.12.6" };
      for (const asked of lab.hosts) {
        assert.deepEqual(await heldOn(asked, late.name), after);
      }
      // They are in one place: without its agent nobody knows them.
      await late.agent.stop();
      for (const asked of [registry, third]) {
        await assert.rejects(allocate(asked, late.name, "c0"), {
          code: "unavailable",
        });
      }
      await late.agent.start();
      assert.deepEqual(await heldOn(late, late.name), after);
    },
  );
});
