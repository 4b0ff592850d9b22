import assert from "node:assert/strict";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

const PATIENT = { timeoutMs: 60_000, everyMs: 300 };
const COUNT = 1_000;

const owner = (containerId: string) => ({ owner: { containerId } });

function clientOf({ socketPath }: SpawnedAgent): Client<typeof IpamService> {
  return createClient(IpamService, createRpcTransport({ socketPath }));
}

/** The ids of all containers that hold addresses, and how many addresses there are. */
async function list(
  client: Client<typeof IpamService>,
  labels: Record<string, string> = {},
): Promise<{ ids: string[]; addresses: Set<string>; pages: number }> {
  const ids: string[] = [];
  const addresses = new Set<string>();
  let pageToken = "";
  let pages = 0;
  do {
    const page = await client.listAllocations({ pageToken, labels });
    for (const allocation of page.allocations) {
      ids.push(allocation.owner!.containerId);
      for (const { address } of allocation.addresses) addresses.add(address);
    }
    pageToken = page.nextPageToken;
    pages++;
  } while (pageToken !== "");
  return { ids, addresses, pages };
}

Deno.test("an orchestrator's allocations, on a real agent", async (t) => {
  await using agent = await spawnAgent({
    args: ["--network", "10.0.0.0/8", "--subnet-prefix", "20"],
  });
  let client = clientOf(agent);
  const restart = async () => {
    await agent.start();
    client = clientOf(agent);
  };
  const items = Array.from({ length: COUNT }, (_, i) => owner(`c${i}`));

  await t.step("a batch that was answered survives kill -9", async () => {
    await client.allocate(owner("first"));
    await client.batchAllocate({ items });
    await agent.kill("SIGKILL");
    await restart();
    const { ids, addresses, pages } = await list(client);
    assert.equal(ids.length, COUNT + 1);
    assert.equal(addresses.size, COUNT + 1);
    assert.equal(pages, 2);
  });

  await t.step(
    "a batch is released as a whole, and its addresses can be given again",
    async () => {
      const { results } = await client.batchRelease({ items });
      assert.ok(results.every(({ allocationId }) => allocationId !== ""));
      await agent.kill("SIGKILL");
      await restart();
      assert.deepEqual((await list(client)).ids, ["first"]);
      const { totalSize } = await client.listAllocations({});
      assert.equal(totalSize, 1);
    },
  );

  await t.step("validate_only changes nothing, over every way in", async () => {
    const { results } = await client.batchAllocate({
      items,
      validateOnly: true,
    });
    assert.equal(results.length, COUNT);
    const response = await fetch(
      `${agent.url}/stellar.net.v1.IpamService/Release`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...owner("first"), validateOnly: true }),
      },
    );
    const { allocationId } = await response.json();
    assert.ok(allocationId);
    assert.deepEqual((await list(client)).ids, ["first"]);
  });

  await t.step(
    "allocations expire without keep-alives, and stay with them",
    async () => {
      const ttl = durationFromMs(3_000);
      const labels = { app: "web" };
      await client.allocate({ ...owner("silent"), ttl, labels });
      await client.allocate({ ...owner("kept"), ttl, labels });
      const selected = await list(client, labels);
      assert.deepEqual(selected.ids.sort(), ["kept", "silent"]);
      assert.deepEqual((await list(client, { app: "db" })).ids, []);
      await waitFor("the silent one expires", async () => {
        const { results } = await client.keepAlive({ items: [owner("kept")] });
        assert.ok(results[0]!.allocationId);
        return !(await list(client)).ids.includes("silent");
      }, PATIENT);
      assert.ok((await list(client)).ids.includes("kept"));
      const { records } = await client.listHistory({ containerId: "silent" });
      assert.match(records[0]!.reason, /time to live/);
      await client.release(owner("kept"));
    },
  );

  await t.step(
    "a watch ends with UNAVAILABLE when the agent stops, and begins anew",
    async () => {
      const seen: string[] = [];
      let revision = "";
      const watch = async (
        fromRevisions: Record<string, string>,
        until: string,
      ) => {
        const stream = client.watchAllocations({ fromRevisions });
        for await (const message of stream) {
          if (message.snapshot) seen.push("snapshot");
          for (const allocation of message.allocations) {
            seen.push(allocation.owner!.containerId);
          }
          revision = message.revision;
          if (seen.includes(until)) return;
        }
      };
      const watching = watch({}, "never");
      watching.catch(() => {});
      await waitFor("the snapshot", () => revision !== "", PATIENT);
      await client.allocate(owner("watched"));
      await waitFor("the change", () => seen.includes("watched"), PATIENT);
      await agent.stop();
      await assert.rejects(watching, { code: "unavailable" });
      await restart();
      seen.length = 0;
      await watch({ node1: revision }, "watched");
      assert.equal(seen[0], "snapshot");
      // Of this process, the revision is known.
      seen.length = 0;
      const resuming = watch({ node1: revision }, "later");
      await client.allocate(owner("later"));
      await resuming;
      assert.deepEqual(seen, ["later"]);
    },
  );
});
