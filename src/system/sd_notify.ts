import { getLogger } from "@logtape/logtape";
import type { ServiceManager, ServiceNews } from "./service_manager.ts";

const log = getLogger(["stellar-net", "host", "service"]);

/** The states as systemd names them. */
const STATES = { ready: "READY=1", stopping: "STOPPING=1" } as const;

/** The variables by which systemd instructs this process. */
export interface SdNotifyOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
}

/**
 * Tells systemd how this service is doing (sd_notify(3), sd_watchdog_enabled(3)).
 * Without `NOTIFY_SOCKET` nothing happens.
 *
 * The process sends by itself: systemd knows who sent from the kernel, and a
 * program such as systemd-notify(1), gone before it is looked up, would have to
 * be let in with `NotifyAccess=all`.
 */
export class SdNotify implements ServiceManager {
  readonly watchdogMs: number | undefined;
  readonly #path: string | undefined;
  #hasFailed = false;

  constructor({ env, pid }: SdNotifyOptions) {
    this.#path = parseAddress(env["NOTIFY_SOCKET"]);
    this.watchdogMs = this.#path === undefined
      ? undefined
      : parseWatchdog(env, pid);
  }

  async notify(news: ServiceNews): Promise<void> {
    if (this.#path === undefined) return;
    try {
      await send(this.#path, formatNews(news));
    } catch (error) {
      // Every few seconds the same would be no news.
      if (!this.#hasFailed) {
        log.warn("Cannot tell the service manager: {error}", { error });
      }
      this.#hasFailed = true;
    }
  }
}

/**
 * The unit of systemd that this process belongs to, such as
 * `stellar-net.service`; undefined for none (systemd.exec(5), cgroups(7)).
 *
 * @param cgroup the content of /proc/self/cgroup
 */
export function findUnit(
  env: SdNotifyOptions["env"],
  cgroup: string,
): string | undefined {
  if (!env["INVOCATION_ID"]) return undefined;
  return /^\d+:(?:name=systemd)?:\S*\/([\w@.:-]+\.service)(?:\/|$)/m
    .exec(cgroup)?.[1];
}

/** The message, a variable a line (sd_notify(3)). */
export function formatNews({ state, status, isAlive }: ServiceNews): string {
  return [
    ...state === undefined ? [] : [STATES[state]],
    ...status === undefined ? [] : [`STATUS=${status.replaceAll("\n", " ")}`],
    ...isAlive ? ["WATCHDOG=1"] : [],
  ].join("\n");
}

/** A path, or a name in the abstract namespace: a zero byte first, `@` as it is written (unix(7)). */
function parseAddress(text: string | undefined): string | undefined {
  if (text?.startsWith("/")) return text;
  return text?.startsWith("@") ? `\0${text.slice(1)}` : undefined;
}

function parseWatchdog(
  env: SdNotifyOptions["env"],
  pid: number,
): number | undefined {
  const forPid = env["WATCHDOG_PID"];
  // It may be meant for the process that started this one.
  if (forPid && Number(forPid) !== pid) return undefined;
  const ms = Number(env["WATCHDOG_USEC"]) / 1_000;
  return ms >= 1 && Number.isFinite(ms) ? ms : undefined;
}

async function send(path: string, text: string): Promise<void> {
  // The socket has to have a name; an abstract one leaves no file behind.
  const socket = Deno.listenDatagram({
    transport: "unixpacket",
    path: `\0stellar-net-${crypto.randomUUID()}`,
  });
  try {
    await socket.send(new TextEncoder().encode(text), {
      transport: "unixpacket",
      path,
    });
  } finally {
    socket.close();
  }
}
