import { addressBits } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import {
  boundReport,
  type ProbeSummary,
  type Report,
  type SubnetUse,
} from "./report.ts";

const VERSION = /^[\w.+~-]{1,64}$/;
const BOOT_ID = /^[\w-]{1,64}$/;
const SUBJECT = /^[\w.-]{1,253}$/;
const CODE = /^[a-z][a-z0-9-]{0,39}$/;
/** Characters that end a line, or that a terminal acts on. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** Largest time of a Date, in ms since 1970. */
const MAX_TIME_MS = 8.64e15;

/**
 * Accepts a report as far as a registry believes it: a host that was broken into
 * sends what it likes, and all operators see it. Only the host's own subnets count, with
 * numbers that are possible; texts are short, on one line, and without control
 * characters.
 *
 * @param subnets the subnets that the registry has given to the host
 */
export function acceptReport(
  report: Report,
  subnets: readonly Prefix[],
): Report {
  const used = new Map(report.subnets.map((use) => [use.cidr, use]));
  return boundReport({
    version: VERSION.test(report.version) ? report.version : "unknown",
    startedAtMs: acceptTime(report.startedAtMs) ?? 0,
    bootId: BOOT_ID.test(report.bootId) ? report.bootId : "",
    subnets: subnets.flatMap((subnet) => {
      const use = used.get(formatPrefix(subnet));
      return use ? [acceptUse(use, subnet)] : [];
    }),
    leaked: acceptCount(report.leaked),
    queued: acceptCount(report.queued),
    routes: {
      wanted: acceptCount(report.routes.wanted),
      installed: acceptCount(report.routes.installed),
      conflicts: acceptCount(report.routes.conflicts),
      unresolved: acceptCount(report.routes.unresolved),
    },
    ...report.probes && { probes: acceptProbes(report.probes) },
    problems: report.problems.filter(({ text }) => text !== "").map((
      { code, severity, text, fix, subject = "" },
    ) => ({
      code: CODE.test(code) ? code : "unknown",
      severity,
      text: cleanText(text),
      // Nobody can tell what a command with hidden characters does.
      fix: fix.search(UNSAFE) < 0 ? fix : "",
      ...SUBJECT.test(subject) && { subject },
    })),
  });
}

function acceptProbes(probes: ProbeSummary): ProbeSummary {
  return {
    alive: acceptCount(probes.alive),
    lossy: acceptCount(probes.lossy),
    narrow: acceptCount(probes.narrow),
    dead: acceptCount(probes.dead),
    unanswered: acceptCount(probes.unanswered),
    unmeasured: acceptCount(probes.unmeasured),
  };
}

/** A text on one line, without control characters, cut to a length. */
export function cleanText(text: string, most = Infinity): string {
  const clean = text.replace(UNSAFE, "\u{fffd}");
  return clean.length <= most ? clean : `${clean.slice(0, most - 1)}…`;
}

function acceptUse(use: SubnetUse, subnet: Prefix): SubnetUse {
  const bits = (addressBits(subnet.family)) - subnet.length;
  const capacity = acceptCount(use.capacity, 2 ** bits);
  const isGrowth = use.perDay !== undefined && Number.isFinite(use.perDay);
  return {
    cidr: use.cidr,
    capacity,
    held: acceptCount(use.held, capacity),
    cooling: acceptCount(use.cooling, capacity),
    perDay: isGrowth ? use.perDay : undefined,
    fullAtMs: acceptTime(use.fullAtMs),
  };
}

/** A whole number from 0 to a maximum. */
function acceptCount(value: number, most = 2 ** 31 - 1): number {
  return Number.isNaN(value)
    ? 0
    : Math.floor(Math.min(Math.max(value, 0), most));
}

function acceptTime(ms: number | undefined): number | undefined {
  return ms !== undefined && ms >= 0 && ms <= MAX_TIME_MS ? ms : undefined;
}
