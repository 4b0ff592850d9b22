import { formatTable } from "../../src/cli/framework/text.ts";
import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";
import { Lab } from "./lab.ts";
import { removeLab, removeLeftovers, SHOWN_LAB } from "./lab_folder.ts";
import type { LabHost, LabStatus } from "./lab_host.ts";
import { openLab, saveLab } from "./lab_record.ts";
import { execArgs } from "./netns.ts";
import type { Station } from "./station.ts";

/** How a person calls this program. */
export const PROGRAM: string = Deno.env.get("npm_command") === "exec"
  ? "npx -y deno@2.9.6 task lab"
  : "deno task lab";

/** How a person opens the map. */
const UI = PROGRAM.replace(/lab$/, "ui");

/** The id of its lab. Tests have one of their own beside the newcomer's. */
export const LAB_ID: string = Deno.env.get("STELLAR_NET_LAB") ?? SHOWN_LAB;

/** A command line that cannot be understood. */
export class UsageError extends Error {}

export interface UpOptions {
  readonly hosts: number;
  /** On each host. */
  readonly containers: number;
  /** Whether the hosts talk in plain text, and let each other in without tokens. */
  readonly isInsecure: boolean;
}

/** Builds the lab, shows what is there and what to do with it. */
export async function up(options: UpOptions): Promise<number> {
  const { hosts, containers } = options;
  const startedMs = performance.now();
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  signals.forEach((signal) => Deno.addSignalListener(signal, onSignal));
  console.log(
    `Building a lab on this machine: ${hosts} hosts, ${containers} containers on each`,
  );
  let lab: Lab | undefined;
  try {
    lab = await create(options);
    await allDone(lab.hosts.map(async (host) => {
      for (let number = 1; number <= containers; number++) {
        await host.addContainer(`c${number}`);
      }
    }));
    stop.signal.throwIfAborted();
    await saveLab(lab);
  } catch (error) {
    await lab?.[Symbol.asyncDispose]();
    if (!stop.signal.aborted) throw error;
    console.error("Interrupted: the lab is taken down again");
    return 130;
  }
  signals.forEach((signal) => Deno.removeSignalListener(signal, onSignal));
  const tookS = (performance.now() - startedMs) / 1000;
  console.log(`It is there after ${tookS.toFixed(1)} s\n`);
  await show(lab);
  console.log("");
  const code = hosts * containers > 1 ? await pingAcross(lab) : 0;
  console.log(`
Look around:
  ${PROGRAM} status
  ${PROGRAM} exec host1 stellar-net status
  ${PROGRAM} exec host1 stellar-net node list
  ${PROGRAM} exec host1 ip route
  ${UI}                           (a live map, in a browser)
  ${PROGRAM} exec host1               (a shell on host1)
  ${PROGRAM} ping host1/c1 ${
    hosts > 1 ? "host2/c1" : "host1   "
  }  (until Ctrl-C)
Take it down:
  ${PROGRAM} down`);
  return code;
}

/** Shows the hosts and containers, and how the agents are doing. */
export async function status(): Promise<number> {
  await show(await theLab());
  return 0;
}

/** Runs a program on a host or container, with this terminal. Without one: a shell. */
export async function exec(
  name: string,
  line: readonly string[],
): Promise<number> {
  const station = find(await theLab(), name);
  return await runHere(station, line.length === 0 ? ["bash"] : line);
}

/** Pings one container or host from another, until it is stopped. */
export async function ping(from: string, to: string): Promise<number> {
  const lab = await theLab();
  return await runHere(find(lab, from), ["ping", addressOf(find(lab, to))]);
}

/** Takes the lab down, however much of it is there. */
export async function down(): Promise<number> {
  await removeLeftovers();
  const found = await removeLab(LAB_ID);
  console.log(found ? "The lab is gone" : "There is no lab");
  return 0;
}

async function create({ hosts, isInsecure }: UpOptions): Promise<Lab> {
  try {
    return await Lab.create({ hosts, secure: !isInsecure, id: LAB_ID });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new Error(
      `Cannot build a lab: one is there already; see \`${PROGRAM} status\`, or take it down with \`${PROGRAM} down\``,
    );
  }
}

async function theLab(): Promise<Lab> {
  const lab = await openLab(LAB_ID);
  if (lab) return lab;
  throw new Error(`There is no lab: build one with \`${PROGRAM} up\``);
}

function find(lab: Lab, name: string): Station {
  const [, number, label] = /^host(\d+)(?:\/(.+))?$/.exec(name) ?? [];
  if (number === undefined) {
    throw new UsageError(
      `"${name}" is no host or container: say host1, or host1/c1`,
    );
  }
  const host = lab.host(Number(number));
  return label === undefined ? host : host.container(label);
}

function addressOf(station: Station & { readonly address?: string }): string {
  return station.address!;
}

async function show(lab: Lab): Promise<void> {
  const rows = await Promise.all(lab.hosts.map(async (host) => [
    [host.name, host.address, await describeAgent(host)],
    ...host.containers.values().map(({ name, addresses }) => [
      ...[name, addresses.join(", "), `container of ${host.name}`],
    ]),
  ]));
  console.log(formatTable(["NAME", "ADDRESS", ""], rows.flat()).join("\n"));
}

/** What an agent says of itself: as much of it as fits a line. */
async function describeAgent(host: LabHost): Promise<string> {
  const { code, stdout } = await host.exec("stellar-net", ["status", "--json"]);
  if (code !== 0) return `agent does not answer: see ${host.agent.logPath}`;
  const { subnets, security }: LabStatus = JSON.parse(stdout);
  const owned = subnets.map(({ cidr }) => cidr).join(", ") || "none yet";
  const how = security === "none" ? "in plain text" : "over TLS";
  return `agent serves ${how}, its subnet: ${owned}`;
}

/** Three pings between containers, of two hosts where there are two. */
async function pingAcross(lab: Lab): Promise<number> {
  const containers = lab.hosts.flatMap((host) => [...host.containers.values()]);
  const from = containers[0]!;
  const to = containers.find(({ name }) => name === "host2/c1") ??
    containers[1]!;
  console.log(`${from.name} pings ${to.name}:`);
  await waitFor("a first answer", () => from.ping(to.address), { everyMs: 200 })
    .catch(() => console.log("No answer yet: here is what ping says"));
  return await runHere(from, ["ping", "-c3", "-i0.2", "-W1", to.address]);
}

async function runHere(
  station: Station,
  line: readonly string[],
): Promise<number> {
  const child = new Deno.Command("ip", {
    args: execArgs(station.netns, line),
    env: { ...station.env },
  }).spawn();
  // Ctrl-C is for the program that runs in there.
  const ignore = () => {};
  Deno.addSignalListener("SIGINT", ignore);
  const { code } = await child.status;
  Deno.removeSignalListener("SIGINT", ignore);
  return code;
}
