// The paths of an installation.

export const UNIT_NAME = "stellar-net.service";
const UNIT_DIR = "/etc/systemd/system";
/** The unit of systemd. */
export const UNIT_PATH = `${UNIT_DIR}/${UNIT_NAME}`;
/** The link that starts it at boot, as `systemctl enable` creates it. */
export const WANTED_PATH = `${UNIT_DIR}/multi-user.target.wants/${UNIT_NAME}`;
/** Folder of the configuration and of the record of the installation. */
export const CONFIG_DIR = "/etc/stellar-net";
export const ENV_PATH = `${CONFIG_DIR}/agent.env`;
export const MANIFEST_PATH = `${CONFIG_DIR}/installed.json`;
export const CONFLIST_PATH = "/etc/cni/net.d/10-stellar.conflist";
/** Root's first start of a self-extracting executable unpacks it here. */
export const CACHE_DIR = "/var/cache/stellar-net";
/** The same, where the cache cannot be used. */
export const UNPACKED_DIR = "/var/lib/stellar-net/unpacked";

/** The program below a prefix such as `/usr/local`. */
export function programPath(prefix: string): string {
  return `${prefix === "/" ? "" : prefix}/bin/stellar-net`;
}

/** The parent folder of a path. */
export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
