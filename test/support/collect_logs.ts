import { configure, reset } from "@logtape/logtape";

/** Calls a function, and returns what was logged meanwhile, a text each, from info on. */
export async function collectLogs(use: () => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  await configure({
    reset: true,
    sinks: {
      list: ({ message }) => {
        lines.push(message.map(String).join(""));
      },
    },
    loggers: [
      { category: ["logtape", "meta"], sinks: [] },
      { category: "stellar-net", sinks: ["list"], lowestLevel: "info" },
    ],
  });
  try {
    await use();
    return lines;
  } finally {
    await reset();
  }
}
