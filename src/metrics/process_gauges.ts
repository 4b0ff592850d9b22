import type { ReadMetric } from "./read_metric.ts";

/** The resources of a process. Undefined: the system does not tell. */
export interface ProcessReading {
  readonly startedAtMs: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly openFiles: number | undefined;
  readonly maxFiles: number | undefined;
}

/** The metrics that are read from the process, with the usual names of Prometheus' clients. */
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
