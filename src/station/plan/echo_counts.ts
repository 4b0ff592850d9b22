import type { Family } from "../../net/address.ts";

/** Numbers of echo requests that a namespace has received, by family. */
export type EchoCounts = Readonly<Record<Family, number>>;

/**
 * Reads the echo requests received out of `/proc/net/snmp` and
 * `/proc/net/snmp6` (proc(5)), in one text. A family without counters has 0.
 */
export function parseEchoCounts(text: string): EchoCounts {
  const [names = [], values = []] = [...text.matchAll(/^Icmp: (.+)$/gm)]
    .map(([, words]) => words!.split(" "));
  const four = values[names.indexOf("InEchos")];
  const six = /^Icmp6InEchos\s+(\d+)$/m.exec(text)?.[1];
  return { 4: Number(four ?? 0), 6: Number(six ?? 0) };
}
