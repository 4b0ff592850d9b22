import { DenoNetns, readKernelFile } from "../system/files.ts";
import type {
  CniTimer,
  PluginIo,
  QueueFile,
  ReadStdinOptions,
  StdinContent,
} from "./io.ts";

/** The plugin's effects on this host, except `connectStellar`, which needs an RPC library. */
export function createCniHost(): Omit<PluginIo, "connectStellar"> {
  const netns = new DenoNetns();
  return {
    env: (name: string) => Deno.env.get(name),
    readStdin,
    stdout: (text: string) => writeAll(Deno.stdout, text),
    stderr(text: string) {
      try {
        writeAll(Deno.stderr, text);
      } catch {
        // Nobody reads the note.
      }
    },
    now: Date.now,
    uptimeMs: () => performance.now(),
    startTimer,
    findNamespace: (path: string) => netns.find(path),
    bootId: readBootId,
    mayQueueUndo: true,
    randomId: () => crypto.randomUUID(),
    connect: (path: string) => Deno.connect({ transport: "unix", path }),
    queue: { exists: isOwnDirectory, write: writeQueueFile },
  };
}

const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";

async function readBootId(): Promise<string> {
  try {
    return (await readKernelFile(BOOT_ID_PATH)).trim();
  } catch {
    return "";
  }
}

const READ_BYTES = 64 * 1024;

/**
 * The first call of `setTimeout` loads a good part of the runtime, a third of
 * the plugin's time. A timer of the engine costs nothing. It fires only while
 * the process waits for something else as well.
 */
function startTimer(ms: number): CniTimer {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const { async, value } = Atomics.waitAsync(cell, 0, 0, ms);
  return {
    expired: async ? value.then(() => {}) : Promise.resolve(),
    cancel: () => void Atomics.notify(cell, 0),
  };
}

async function readStdin(options: ReadStdinOptions): Promise<StdinContent> {
  const timer = startTimer(options.timeoutMs);
  const late = timer.expired.then((): StdinContent => ({ kind: "late" }));
  try {
    return await Promise.race([readToEnd(options.maxBytes), late]);
  } finally {
    timer.cancel();
  }
}

async function readToEnd(maxBytes: number): Promise<StdinContent> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = new Uint8Array(READ_BYTES);
    const count = await Deno.stdin.read(chunk);
    if (count === null) break;
    length += count;
    if (length > maxBytes) return { kind: "too long" };
    chunks.push(chunk.subarray(0, count));
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return { kind: "read", bytes };
}

function writeAll(
  stream: { writeSync(bytes: Uint8Array): number },
  text: string,
): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
}

function isOwnDirectory(path: string): boolean {
  const isOwn = ({ uid }: Deno.FileInfo) =>
    uid === null || uid === 0 || uid === Deno.uid();
  try {
    // In a sticky folder every user can make a link to another user's folder.
    if (!isOwn(Deno.lstatSync(path))) return false;
    const found = Deno.statSync(path);
    return found.isDirectory && isOwn(found);
  } catch {
    return false;
  }
}

/** Writes a file under another name, then renames it; both reach the disk before this returns. */
function writeQueueFile(
  dir: string,
  file: QueueFile,
): "written" | "full" {
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  let count = 0;
  for (const entry of Deno.readDirSync(dir)) {
    if (!entry.name.startsWith(".") && ++count >= file.limit) return "full";
  }
  const temporary = `${dir}/${file.temporaryName}`;
  writeNewFile(temporary, file.text);
  try {
    Deno.renameSync(temporary, `${dir}/${file.name}`);
  } catch (error) {
    Deno.removeSync(temporary);
    throw error;
  }
  using folder = Deno.openSync(dir);
  folder.syncSync();
  return "written";
}

function writeNewFile(path: string, text: string): void {
  using file = Deno.openSync(path, {
    write: true,
    createNew: true,
    // In the folder of a group, the agent may read it as a member.
    mode: 0o640,
  });
  try {
    writeAll(file, text);
    file.syncSync();
  } catch (error) {
    Deno.removeSync(path);
    throw error;
  }
}
