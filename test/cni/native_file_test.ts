import assert from "node:assert/strict";
import { formatNativePlugin } from "../../src/cni/native_file.ts";

const MARK = "stellar-net paths:\n\0";
const PATHS = { socketPath: "/run/a.sock", executable: "/usr/bin/b" };

/** A plugin with so many places for the paths. */
function plugin(places: number): Uint8Array {
  const place = `${MARK}${"s".repeat(108)}${"e".repeat(4096)}`;
  return new TextEncoder().encode(`stellar${place.repeat(places)}end`);
}

Deno.test("formatNativePlugin() writes both paths and nothing else", () => {
  const before = plugin(1);
  const after = formatNativePlugin(before, PATHS);
  assert.equal(
    new TextDecoder().decode(after),
    `stellar${MARK}${PATHS.socketPath.padEnd(108, "\0")}${
      PATHS.executable.padEnd(4096, "\0")
    }end`,
  );
  assert.deepEqual(before, plugin(1));
  assert.deepEqual(
    formatNativePlugin(
      formatNativePlugin(before, { socketPath: "/x/y/z", executable: "/q" }),
      PATHS,
    ),
    after,
  );
});

Deno.test("formatNativePlugin() refuses paths that do not fit, and other files", () => {
  const fits = { ...PATHS, socketPath: "x".repeat(107) };
  formatNativePlugin(plugin(1), fits);
  for (
    const paths of [
      { ...PATHS, socketPath: "x".repeat(108) },
      { ...PATHS, executable: "é".repeat(2048) },
    ]
  ) {
    assert.throws(() => formatNativePlugin(plugin(1), paths), RangeError);
  }
  for (const places of [0, 2]) {
    assert.throws(() => formatNativePlugin(plugin(places), PATHS), {
      name: "RangeError",
      message: new RegExp(`its paths are in ${places} places`),
    });
  }
});
