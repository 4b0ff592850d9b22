import { join } from "node:path";

/** An address of an interface, such as `["docker0", "172.17.0.1", 16]`. */
export type FakeAddress = readonly [
  device: string,
  address: string,
  prefixLength: number,
];

/**
 * Puts an `ip` into a folder that shows a host with some addresses and no
 * routes, so that what a test expects does not depend on the host it runs on.
 *
 * @returns the environment in which it is found
 */
export async function writeFakeIp(
  dir: string,
  addresses: readonly FakeAddress[] = [],
): Promise<{ readonly PATH: string }> {
  const links = addresses.map(([ifname, local, prefixlen]) => ({
    ifname,
    addr_info: [{ local, prefixlen }],
  }));
  const script = `#!/bin/sh
case "$*" in
  "-json address show")
    echo '${JSON.stringify(links)}' ;;
  "-json -6 route show default") echo '[]' ;;
  "-details -json link show") echo '[]' ;;
  "-json -details -batch -" | "-N -json -batch -" | "-6 -N -json -batch -")
    while read -r line; do
      case "$line" in
        *"address show"*) echo '${JSON.stringify(links)}' ;;
        *) echo '[]' ;;
      esac
    done ;;
  *) echo "the fake ip does not know: $*" >&2; exit 1 ;;
esac
`;
  await Deno.writeTextFile(join(dir, "ip"), script, { mode: 0o755 });
  // Agents of other users look into it too.
  await Deno.chmod(dir, 0o755);
  return { PATH: `${dir}:${Deno.env.get("PATH")}` };
}
