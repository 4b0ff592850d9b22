import assert from "node:assert/strict";
import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

Deno.test("an agent makes its socket again, and the link to its queue, when they are removed", async () => {
  await using agent = await spawnAgent({ args: ["--store", "kv::memory:"] });
  const folder = agent.socketPath.replace(/\/[^/]*$/, "");
  const links = (await Array.fromAsync(Deno.readDir(folder)))
    .filter(({ isSymlink }) => isSymlink);
  assert.equal(links.length, 1);
  const link = `${folder}/${links[0]!.name}`;
  await Deno.remove(agent.socketPath);
  await Deno.remove(link);
  await waitFor("the socket and the link", async () => {
    const found = await Promise.all(
      [agent.socketPath, link].map((path) =>
        Deno.lstat(path).catch(() => undefined)
      ),
    );
    return found[0]?.isSocket === true && found[1]?.isSymlink === true;
  });
});
