import type { ReadMetric } from "./read_metric.ts";

/** What a process takes. Undefined: the system does not say. */
export interface ProcessReading {
  readonly startedAtMs: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly openFiles: number | undefined;
  readonly maxFiles: number | undefined;
}

/** What is read of the process, by the names that Prometheus' clients share. */
export const PROCESS_GAUGES: readonly ReadMetric<ProcessReading>[] = [
  {
    name: "process_start_time_seconds",
    help: "When the process was started, since 1970.",
    read: ({ startedAtMs }) => [[startedAtMs / 1000]],
  },
  {
    name: "process_cpu_seconds_total",
    help: "Processor time of the process.",
    type: "counter",
    read: ({ cpuSeconds }) => [[cpuSeconds]],
  },
  {
    name: "process_resident_memory_bytes",
    help: "Memory of the process in RAM.",
    read: ({ residentBytes }) => [[residentBytes]],
  },
  {
    name: "process_heap_bytes",
    help: "Memory that V8 uses for objects.",
    read: ({ heapBytes }) => [[heapBytes]],
  },
  {
    name: "process_open_fds",
    help: "File descriptors that are open.",
    read: ({ openFiles }) => openFiles === undefined ? [] : [[openFiles]],
  },
  {
    name: "process_max_fds",
    help: "File descriptors that may be open.",
    read: ({ maxFiles }) => maxFiles === undefined ? [] : [[maxFiles]],
  },
];
