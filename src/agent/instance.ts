import type { Store } from "../store/store.ts";

/** The random id of a state: made once, kept with it. */
export async function readInstanceId(
  store: Store,
  randomId: () => string,
): Promise<string> {
  const key = ["agent", "instance"];
  const entry = await store.get(key);
  if (typeof entry?.value === "string") return entry.value;
  const id = randomId();
  await store.commit({ puts: [{ key, value: id }] });
  return id;
}
