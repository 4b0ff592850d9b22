/** Variables are looked up as they are asked for: not all of them may be read. */
export const ENVIRONMENT: Record<string, string | undefined> = new Proxy({}, {
  get: (_, name) => Deno.env.get(String(name)),
});

/** Path of the built program. One that unpacks itself is told it by its launcher. */
export function executable(): string {
  return Deno.env.get("STELLAR_NET_EXECUTABLE") ?? Deno.execPath();
}
