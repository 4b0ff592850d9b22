import { join } from "node:path";
import { ROOT } from "../generate.ts";

/** Names one run of the tests to all of its processes. */
const RUN_VARIABLE = "STELLAR_NET_TEST_RUN";

/**
 * Makes something once in a run of the tests, whichever process needs it first.
 * The others wait for it.
 *
 * @param name name of a file in `dist/`
 * @returns what `make` returned, which is kept as JSON
 */
export async function onceInRun<T>(
  name: string,
  make: () => Promise<T>,
): Promise<T> {
  const testRun = Deno.env.get(RUN_VARIABLE) ?? crypto.randomUUID();
  Deno.env.set(RUN_VARIABLE, testRun);
  await Deno.mkdir(join(ROOT, "dist"), { recursive: true });
  const record = join(ROOT, "dist", `${name}.test-run`);
  using lock = await Deno.open(record, { write: true, create: true });
  await lock.lock(true);
  const text = await Deno.readTextFile(record);
  const last = text === "" ? {} : JSON.parse(text);
  if (last.testRun === testRun) return last.made;
  const made = await make();
  await Deno.writeTextFile(record, JSON.stringify({ testRun, made }));
  return made;
}
