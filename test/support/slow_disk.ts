import assert from "node:assert/strict";
import { join } from "node:path";
import { run } from "./run.ts";

/**
 * Replaces what waits for a disk, for files below a folder only: the runtime
 * syncs its caches of compiled code a hundred times when sources are new.
 */
const SLOW_SYNC = `
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static void wait_for_disk(int fd) {
  char link[64], path[4096];
  const char *folder = getenv("SLOW_FOLDER");
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (!folder || length < 0) return;
  if (strncmp(path, folder, strlen(folder)) != 0) return;
  long ms = 0;
  FILE *file = fopen(getenv("SYNC_MS_FILE"), "r");
  if (!file) return;
  if (fscanf(file, "%ld", &ms) != 1) ms = 0;
  fclose(file);
  struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
  nanosleep(&t, 0);
}
int fsync(int fd) { wait_for_disk(fd); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { wait_for_disk(fd); return syscall(SYS_fdatasync, fd); }
`;

/** A disk whose syncs take as long as a test says: this kernel has no device that is slow. */
export interface SlowDisk {
  /** The environment of programs that have their files on it. */
  readonly env: Readonly<Record<string, string>>;
  /** Makes each sync take so long, or as long as it takes: 0. */
  setSyncMs(ms: number): Promise<void>;
}

/**
 * Makes the disk of a folder slow, for programs with its environment. At first
 * it is as fast as it is.
 *
 * @param dir folder for the library
 */
export async function createSlowDisk(
  dir: string,
  folder: string,
): Promise<SlowDisk> {
  const library = join(dir, "slow_sync.so");
  const source = join(dir, "slow_sync.c");
  const syncMsFile = join(dir, "sync-ms");
  await Deno.writeTextFile(source, SLOW_SYNC);
  const args = ["-shared", "-fPIC", "-o", library, source];
  const { code, stderr } = await run("cc", args);
  assert.equal(code, 0, stderr);
  return {
    env: {
      LD_PRELOAD: library,
      SLOW_FOLDER: folder,
      SYNC_MS_FILE: syncMsFile,
    },
    setSyncMs: (ms) => Deno.writeTextFile(syncMsFile, `${ms}`),
  };
}
