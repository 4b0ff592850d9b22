import { setTimeout as delay } from "node:timers/promises";
import type { LabHost } from "./lab_host.ts";

/** The names of the nodes that a host lists, in order. */
export async function namesAt(host: LabHost): Promise<string[]> {
  const { nodes } = await host.ask<{ nodes: { name: string }[] }>("node list");
  return nodes.map(({ name }) => name).sort();
}

/** The warnings in the status of a host. */
export async function statusWarnings(host: LabHost): Promise<string[]> {
  return (await host.ask<{ warnings: string[] }>("status")).warnings;
}

/** The events about the removal of a node that a host lists, the latest first. */
export async function removalEvents(
  host: LabHost,
  node: string,
): Promise<string[]> {
  const { events } = await host.ask<
    { events: { kind: string; text: string }[] }
  >(`events --node ${node}`);
  return events.filter(({ kind }) => kind === "removal")
    .map(({ text }) => text);
}

/** Checks something again and again for some time, in ms. */
export async function staysFor(
  ms: number,
  check: () => Promise<void>,
): Promise<void> {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) {
    await check();
    await delay(500);
  }
}
