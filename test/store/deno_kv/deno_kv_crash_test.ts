import assert from "node:assert/strict";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import { collect } from "../../suite/store_suite_support.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const WRITER = new URL("../counting_writer.ts", import.meta.url).pathname;
const LANES = 6;
const ROUNDS = 10;

Deno.test("commit() loses nothing acknowledged, and writes nothing by half, when killed", async () => {
  await withTempDir(async (folder) => {
    const path = `${folder}/state.db`;
    let acknowledged: number[] = Array(LANES).fill(0);
    for (let round = 0; round < ROUNDS; round++) {
      // Killed in the middle of whatever it does after so many lines.
      const lines = 1 + Math.floor(Math.random() * 400);
      acknowledged = await countAndKill(path, acknowledged, lines);
      acknowledged = await verify(path, acknowledged);
    }
    assert.ok(acknowledged.every((number) => number >= ROUNDS / 2));
  });
});

Deno.test("openDenoKv() refuses a file that another process has open", async () => {
  await withTempDir(async (folder) => {
    const path = `${folder}/state.db`;
    const writer = startWriter(path);
    const lines = readLines(writer);
    await lines.next();
    await assert.rejects(() => openDenoKv({ path }), {
      name: "NetError",
      code: "unavailable",
      message:
        `Cannot open the state file "${path}": it is in use; stop the agent that has it open`,
    });
    // The refusal took no lock from its holder.
    assert.equal((await lines.next()).done, false);
    writer.kill("SIGKILL");
    await collect(lines);
    assert.equal((await writer.status).signal, "SIGKILL");
    const store = await openDenoKv({ path });
    await store.close();
  });
});

function startWriter(path: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--unstable-kv",
      "-A",
      WRITER,
      path,
      `${LANES}`,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

/** Runs a writer until it has printed so many lines; returns the last number of each lane. */
async function countAndKill(
  path: string,
  before: readonly number[],
  lines: number,
): Promise<number[]> {
  const last = [...before];
  const writer = startWriter(path);
  let seen = 0;
  for await (const line of readLines(writer)) {
    const [lane, number] = line.split(" ").map(Number) as [number, number];
    assert.equal(number, last[lane]! + 1, `lane ${lane}`);
    last[lane] = number;
    if (++seen === lines) writer.kill("SIGKILL");
  }
  assert.equal((await writer.status).signal, "SIGKILL");
  assert.ok(seen >= lines);
  return last;
}

/** Checks what the file holds; returns the number that each lane has reached. */
async function verify(
  path: string,
  acknowledged: readonly number[],
): Promise<number[]> {
  const store = await openDenoKv({ path });
  const reached: number[] = [];
  for (let lane = 0; lane < LANES; lane++) {
    const number = (await store.get(["count", lane]))?.value as number ?? 0;
    const copy = (await store.get(["copy", lane]))?.value ?? 0;
    assert.equal(copy, number);
    // At most one more was under way.
    assert.ok(
      number === acknowledged[lane] || number === acknowledged[lane]! + 1,
      `lane ${lane} has ${number}, ${acknowledged[lane]} was acknowledged`,
    );
    const log = await collect(store.list(["log", lane]));
    const first = Math.max(1, number - 9);
    assert.deepEqual(
      log.map(({ key, value }) => [key[2], (value as string).length]),
      Array.from(
        { length: number - first + 1 },
        (_, i) => [first + i, (first + i) % 5000],
      ),
    );
    reached.push(number);
  }
  await store.close();
  return reached;
}

async function* readLines(
  writer: Deno.ChildProcess,
): AsyncGenerator<string, void> {
  let rest = "";
  for await (
    const text of writer.stdout.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
