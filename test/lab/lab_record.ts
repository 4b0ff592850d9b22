import { join } from "node:path";
import type { CniResult } from "./cni_list.ts";
import { Lab } from "./lab.ts";
import { LabContainer } from "./lab_container.ts";
import { labDir } from "./lab_folder.ts";

/** What another process needs to know of a lab to use it. */
interface LabRecord {
  readonly hosts: number;
  readonly containers: readonly {
    /** Number of the host. */
    readonly host: number;
    readonly label: string;
    readonly netns: string;
    readonly result: CniResult;
  }[];
}

/** Writes down what a lab consists of, once it is built. */
export async function saveLab(lab: Lab): Promise<void> {
  const record: LabRecord = {
    hosts: lab.hosts.length,
    containers: lab.hosts.flatMap(({ number, containers }) =>
      containers.values().toArray().map(({ label, netns, result }) => ({
        ...{ host: number, label, netns, result },
      }))
    ),
  };
  await Deno.writeTextFile(recordPath(lab.id), JSON.stringify(record));
}

/**
 * A lab that another process has built. Its programs can be run, its
 * containers are known; its agents are that process's.
 *
 * @returns undefined when there is none
 * @throws {Error} when it is half built
 */
export async function openLab(id: string): Promise<Lab | undefined> {
  try {
    await Deno.stat(labDir(id));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  let record: LabRecord;
  try {
    record = JSON.parse(await Deno.readTextFile(recordPath(id)));
  } catch (cause) {
    throw new Error(
      "Cannot use the lab: it is being built, or was not built to its end; take it down with `down`",
      { cause },
    );
  }
  const lab = new Lab(id, { hosts: record.hosts });
  for (const { host: number, ...container } of record.containers) {
    const host = lab.host(number);
    host.adopt(new LabContainer({ ...container, host: host.name }));
  }
  return lab;
}

function recordPath(id: string): string {
  return join(labDir(id), "lab.json");
}
