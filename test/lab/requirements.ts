import { DEBIAN_PLUGINS } from "../support/cni_plugin.ts";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";

/** Where runtimes look for CNI plugins, besides the lab's own folder. */
export const PLUGIN_DIRS: readonly string[] = [DEBIAN_PLUGINS, "/opt/cni/bin"];

/** What every lab needs: one of these files, of this Debian package. */
const NEEDED: readonly [files: readonly string[], debianPackage: string][] = [
  [["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"], "iproute2"],
  [["/usr/bin/ping", "/bin/ping"], "iputils-ping"],
  [
    PLUGIN_DIRS.map((dir) => `${dir}/bridge`),
    "containernetworking-plugins",
  ],
];

/**
 * Makes sure that a lab can be built.
 *
 * @throws {Error} saying what is missing and how to get it
 */
export async function assertPossible(): Promise<void> {
  if (Deno.uid() !== 0) {
    throw new Error(
      "Cannot build a lab: network namespaces need root, and this is an ordinary user; run it as root",
    );
  }
  const missing: string[] = [];
  for (const [files, debianPackage] of NEEDED) {
    if (!await isOneThere(files)) missing.push(debianPackage);
  }
  if (missing.length > 0) {
    throw new Error(
      `Cannot build a lab: programs are missing; on Debian: apt-get install ${
        missing.join(" ")
      }`,
    );
  }
  // What runs in a lab has no way out to where packages come from: Deno's
  // bundler, which installs the plugin, is one of them.
  await fetchPackages(["cache", "main.ts"]);
  await fetchPackages(["bundle", "--quiet", "test/lab/source_server.ts"]);
}

async function fetchPackages(args: readonly string[]): Promise<void> {
  const options = { cwd: ROOT, timeoutMs: 300_000 };
  const { code, stderr } = await run(Deno.execPath(), args, options);
  if (code !== 0) {
    throw new Error(
      `Cannot build a lab: its packages cannot be had\n${stderr}`,
    );
  }
}

async function isOneThere(files: readonly string[]): Promise<boolean> {
  for (const file of files) {
    if (await Deno.stat(file).then(() => true, () => false)) return true;
  }
  return false;
}
