import { NetError } from "../base/error.ts";

/** Where the host's groups are (group(5)). */
const GROUPS_PATH = "/etc/group";
/** The last number stands for none (chown(2)). */
const MAX_GROUP_ID = 2 ** 32 - 2;

/**
 * Finds the number of a group: by its name among the groups of this host, or
 * as it is where it is a number.
 *
 * @throws {NetError} `failed_precondition` when there is no such group
 */
export async function findGroup(
  group: string,
  path: string = GROUPS_PATH,
): Promise<number> {
  const number = Number(group);
  if (/^\d+$/.test(group) && number <= MAX_GROUP_ID) return number;
  const lines = (await read(path)).split("\n").map((line) => line.split(":"));
  const id = lines.find(([name]) => name === group)?.[2];
  if (id !== undefined && /^\d+$/.test(id)) return Number(id);
  throw new NetError(
    "failed_precondition",
    `Cannot give the socket to group "${group}": ` +
      `"${path}" has none of that name; make it with groupadd, or give its number with --socket-group`,
  );
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new NetError(
      "failed_precondition",
      `Cannot look for groups in "${path}": ${
        (cause as Error).message
      }; give the group's number with --socket-group`,
      { cause },
    );
  }
}
