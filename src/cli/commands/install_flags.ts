import { parsePath, parseSwitch } from "../framework/flags.ts";
import { quote } from "../../net/address.ts";
import type { Flag } from "../framework/spec.ts";

// The flags of `install` and `uninstall`, besides the agent's.

export const PREFIX: Flag<string> = {
  name: "prefix",
  value: "DIR",
  description: "put the program into DIR/bin",
  defaultNote: "as it was installed, or /usr/local",
  completion: "directory",
  parse: parseAbsolutePath,
};

export const SKIP_CNI: Flag<boolean> = {
  name: "skip-cni",
  description: "leave the CNI plugin and its configuration out",
  parse: parseSwitch,
};

export const ROOT: Flag<string> & { readonly default: string } = {
  name: "root",
  value: "DIR",
  description: "folder that stands for the root of the host, as of an image",
  default: "/",
  completion: "directory",
  parse: parseAbsolutePath,
};

export const DRY_RUN: Flag<boolean> = {
  name: "dry-run",
  description: "say what would be done, and do nothing",
  parse: parseSwitch,
};

export const FORCE: Flag<boolean> = {
  name: "force",
  description: "also what was changed since it was installed",
  parse: parseSwitch,
};

export const PURGE: Flag<boolean> = {
  name: "purge",
  description: "remove the state and the configuration, too",
  parse: parseSwitch,
};

export const TAKE_DOWN: Flag<boolean> = {
  name: "take-down",
  description: "remove the agent's routes, filter rules and bridge, too",
  parse: parseSwitch,
};

function parseAbsolutePath(text: string): string {
  const path = parsePath(text);
  if (!path.startsWith("/") || /(?:^|\/)\.\.?(?:\/|$)/.test(path)) {
    throw new RangeError(
      `${quote(text)} is not an absolute path without "." and ".."`,
    );
  }
  return path.replace(/\/+$/, "") || "/";
}
