import { CniError } from "./errors.ts";
import { describe, readConfig } from "./json.ts";

/** The versions of the CNI specification that the plugin speaks, the oldest first. */
export const CNI_VERSIONS = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
] as const;

/** A version of the CNI specification. */
export type CniVersion = typeof CNI_VERSIONS[number];

/** The version of an answer to a call that names none. */
export const LATEST_VERSION: CniVersion = "1.1.0";

/** The version of a configuration that names none. */
const DEFAULT_VERSION: CniVersion = "0.1.0";

/** Whether a version is the other or a later one. */
export function isAtLeast(version: CniVersion, other: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(other);
}

/**
 * Parses `cniVersion`; missing and empty mean 0.1.0.
 *
 * @throws {CniError} `incompatible_version` when the plugin does not
 * speak it, `invalid_config` when it is not a string
 */
export function parseVersion(value: unknown): CniVersion {
  const text = readConfig({ cniVersion: value }).optionalText("cniVersion") ??
    "";
  if (text === "") return DEFAULT_VERSION;
  const version = CNI_VERSIONS.find((known) => known === text);
  if (version) return version;
  throw new CniError(
    "incompatible_version",
    `Cannot use "cniVersion": ${describe(text)} is none of ${
      CNI_VERSIONS.join(", ")
    }`,
  );
}

/** The answer to VERSION (CNI specification, "VERSION Success"). */
export function formatVersions(asked: unknown): string {
  return JSON.stringify({
    cniVersion: CNI_VERSIONS.find((known) => known === asked) ?? LATEST_VERSION,
    supportedVersions: CNI_VERSIONS,
  }) + "\n";
}
