import assert from "node:assert/strict";
import { join } from "node:path";
import { CONFIG, ROOT } from "../generate.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** The blocks of code under "Clients" in docs/api.md, by language, in order. */
async function readBlocks(): Promise<Record<string, string[]>> {
  const text = await Deno.readTextFile(join(ROOT, "docs/api.md"));
  const part = /## Clients\n([^]*?)\n## /.exec(text)![1]!;
  const blocks: Record<string, string[]> = {};
  for (const [, kind, code] of part.matchAll(/```(\w+)\n([^]*?)```/g)) {
    (blocks[kind!] ??= []).push(code!);
  }
  return blocks;
}

Deno.test("docs/api.md: the examples of its clients work as they stand", async (t) => {
  const { sh, python, js } = await readBlocks();
  await using agent = await spawnAgent();
  const adapt = (code: string) =>
    code.replaceAll("127.0.0.1:9000", `127.0.0.1:${agent.port}`)
      .replaceAll(
        /^stellar-net /gm,
        `${Deno.execPath()} run -A ${ROOT}/main.ts `,
      );
  await withTempDir(async (dir) => {
    const inDir = async (program: string, args: readonly string[]) => {
      const { code, stdout, stderr } = await run(program, args, { cwd: dir });
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await t.step("Python", async () => {
      await inDir("sh", ["-ec", adapt(sh![0]!)]);
      const program = adapt(python![0]!);
      const stdout = await inDir("/usr/bin/python3", ["-c", program]);
      assert.match(
        stdout,
        /^172\.\d+\.\d+\.\d+\nINVALID_ARGUMENT Invalid field "owner\.container_id": it is empty\n$/,
      );
    });
    await t.step("Deno with grpc-js", async () => {
      await Deno.writeTextFile(join(dir, "client.js"), adapt(js![0]!));
      const stdout = await inDir(Deno.execPath(), [
        ...["run", "-A", "--no-check", ...CONFIG],
        "client.js",
      ]);
      assert.match(
        stdout,
        /^172\.\d+\.\d+\.\d+\nINVALID_ARGUMENT Invalid field "owner\.container_id": it is empty\n$/,
      );
    });
    await t.step("curl with GET", async () => {
      const answer = JSON.parse(await inDir("sh", ["-ec", adapt(sh![1]!)]));
      assert.equal(answer.allocation.owner.containerId, "web1");
    });
  });
});
