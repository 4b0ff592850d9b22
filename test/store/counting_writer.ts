import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { NetError } from "../../src/base/error.ts";

/**
 * A process for the crash test: counts on several lanes at once, in commits of
 * several keys, and prints "LANE NUMBER" for each that was acknowledged, until
 * it is killed.
 *
 * Of lane L after number N there are ["count", L] and ["copy", L], both N, and
 * ["log", L, N - 9] to ["log", L, N].
 */
async function main(): Promise<void> {
  const [path, lanes] = Deno.args;
  const store = await openDenoKv({ path: path! });
  const encoder = new TextEncoder();
  const count = async (lane: number) => {
    for (;;) {
      const entry = await store.get(["count", lane]);
      const number = (entry?.value as number | undefined ?? 0) + 1;
      const result = await store.commit({
        checks: [{ key: ["count", lane], version: entry?.version ?? null }],
        puts: [
          { key: ["count", lane], value: number },
          { key: ["log", lane, number], value: "x".repeat(number % 5000) },
          { key: ["copy", lane], value: number },
        ],
        deletes: number > 10 ? [["log", lane, number - 10]] : [],
      });
      if (!result.committed) {
        throw new NetError("internal", `Lane ${lane} was written by another`);
      }
      Deno.stdout.writeSync(encoder.encode(`${lane} ${number}\n`));
    }
  };
  await Promise.all(Array.from({ length: Number(lanes) }, (_, i) => count(i)));
}

await main();
