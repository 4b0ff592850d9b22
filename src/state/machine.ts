import { NetError } from "../base/error.ts";
import { readEntry } from "./read_entry.ts";
import type { Key, Store } from "../store/store.ts";

/** Key of the machine on which a state is in use. */
const MACHINE_KEY: Key = ["agent", "machine"];
/** Key of the random id of a state. */
const INSTANCE_KEY: Key = ["agent", "instance"];
/** Key of the random id that a copy on another machine joins with. */
const COPY_KEY: Key = ["agent", "copy"];

/** The ids that tell machines apart. Empty: not known. */
export interface Machine {
  /** Of `/etc/machine-id` (machine-id(5)). */
  readonly machineId: string;
  /** Of the firmware (`/sys/class/dmi/id/product_uuid`). */
  readonly productUuid: string;
  /** MAC addresses of its interfaces, without virtual ones. */
  readonly macs: readonly string[];
}

/**
 * Whether two records are of different machines: more of what is known in both
 * differs than agrees, or as much. A new network card or a new installation
 * alone does not make another machine; a clone gets at least a new firmware id
 * and new MAC addresses.
 */
export function isOtherMachine(recorded: Machine, found: Machine): boolean {
  const evidence = [
    compareTexts(recorded.machineId, found.machineId),
    compareTexts(recorded.productUuid, found.productUuid),
    recorded.macs.length === 0 || found.macs.length === 0
      ? undefined
      : recorded.macs.some((mac) => found.macs.includes(mac)),
  ].filter((isSame) => isSame !== undefined);
  const same = evidence.filter((isSame) => isSame).length;
  return evidence.length > 0 && 2 * same <= evidence.length;
}

function compareTexts(one: string, other: string): boolean | undefined {
  return one === "" || other === "" ? undefined : one === other;
}

/** Whether a key tells the machine of a state: a restored state gets that of its new machine. */
export function isMachineKey(key: Key): boolean {
  return key.length === 2 && key[0] === "agent" &&
    (key[1] === MACHINE_KEY[1] || key[1] === COPY_KEY[1]);
}

/** The identity of an agent's state. */
export interface StateIdentity {
  /** Its random id. A copy on another machine gets one of its own. */
  readonly instanceId: string;
  /** Makes this machine that of the state; absent when it is. */
  readonly acceptMachine?: () => Promise<void>;
}

/**
 * Finds out whose state it is: its random id, and whether it was made on this
 * machine.
 *
 * @throws {NetError} `failed_precondition` when it was made on another machine,
 * and the agent would host the registry
 */
export async function identifyState(
  store: Store,
  { machine, randomId, hostsRegistry }: {
    /** This machine; undefined: not checked. */
    readonly machine?: Machine;
    readonly randomId: () => string;
    readonly hostsRegistry: boolean;
  },
): Promise<StateIdentity> {
  const instanceId = await readId(store, INSTANCE_KEY, randomId);
  if (!machine) return { instanceId };
  const recorded = await readMachine(store);
  if (!recorded || !isOtherMachine(recorded, machine)) {
    if (JSON.stringify(recorded) !== JSON.stringify(machine)) {
      await store.commit({ puts: [machinePut(machine)], deletes: [COPY_KEY] });
    }
    return { instanceId };
  }
  if (hostsRegistry) throw copiedRegistry(store);
  const copyId = await readId(store, COPY_KEY, randomId);
  return {
    instanceId: copyId,
    acceptMachine: () => acceptMachine(store, { machine, instanceId: copyId }),
  };
}

/** Makes a machine that of a state. */
export async function acceptMachine(
  store: Store,
  { machine, instanceId }: {
    readonly machine: Machine;
    /** The id that the state gets; undefined: it keeps its own. */
    readonly instanceId?: string;
  },
): Promise<void> {
  await store.commit({
    puts: [
      machinePut(machine),
      ...instanceId === undefined
        ? []
        : [{ key: INSTANCE_KEY, value: instanceId }],
    ],
    deletes: [COPY_KEY],
  });
}

async function readId(
  store: Store,
  key: Key,
  randomId: () => string,
): Promise<string> {
  const entry = await store.get(key);
  if (typeof entry?.value === "string") return entry.value;
  const id = randomId();
  await store.commit({ puts: [{ key, value: id }] });
  return id;
}

async function readMachine(store: Store): Promise<Machine | undefined> {
  const entry = await store.get(MACHINE_KEY);
  return entry
    ? readEntry(entry, "machine of the state", (record) => ({
      machineId: record.text("machineId"),
      productUuid: record.text("productUuid"),
      macs: record.texts("macs"),
    }))
    : undefined;
}

function machinePut({ machineId, productUuid, macs }: Machine) {
  return { key: MACHINE_KEY, value: { machineId, productUuid, macs } };
}

function copiedRegistry({ url }: Store): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot host the registry: the state in ${url} was made on another machine, which may still host it; ` +
      'if this machine is a clone, delete the state; if it replaces the other one for good, run "stellar-net node accept" and start the agent again',
  );
}
