import type { Agent } from "../agent/agent.ts";
import type { AgentStatus } from "../agent/status.ts";
import type { Check } from "../host/checks/check.ts";
import { findMembershipFault } from "../member/link.ts";
import { formatPrefix } from "../net/prefix.ts";
import { explainRoute } from "../routes/plan/route_plan.ts";
import { formatDesiredRoute } from "../routes/plan/desired_route.ts";
import type { RouteReport } from "../routes/report.ts";
import {
  boundReport,
  type ProbeSummary,
  type Problem,
  type Report,
  type Severity,
  sortProblems,
} from "./plan/report.ts";
import type { Forecast } from "./plan/forecast.ts";
import type { Counted, Samples } from "./samples.ts";

export interface ReportSourceOptions {
  readonly agent: Pick<Agent, "status">;
  readonly samples: Samples;
  /** The host's routes at the last reading. */
  readonly routes: () => RouteReport;
  /** The faults of paths, and the paths by state; undefined without probes. */
  readonly probes?: () => {
    readonly problems: readonly Problem[];
    readonly summary: ProbeSummary;
  };
  /** The faults of the process and its host, a line each. */
  readonly warnings: () => readonly string[];
  /** The faults of the host's network, with their fixes. */
  readonly faults: () => readonly Check[];
  readonly version: string;
  readonly bootId: string;
}

/** Builds this host's report of its own health and use. */
export class ReportSource {
  readonly #options: ReportSourceOptions;

  constructor(options: ReportSourceOptions) {
    this.#options = options;
  }

  /** The host's present problems, the worst first, in full. */
  async problems(): Promise<Problem[]> {
    return this.#problemsOf(await this.#options.agent.status());
  }

  /** Reads the host's present state. */
  async read(): Promise<Report> {
    const { agent, samples, routes, probes, version, bootId } = this.#options;
    const status = await agent.status();
    const { counts } = routes();
    return boundReport({
      ...{ version, bootId, startedAtMs: status.startedAtMs },
      subnets: countedSubnets(status).map((counted, i) => {
        const found = samples.forecast(counted);
        return {
          cidr: counted.subject,
          capacity: counted.capacity,
          held: counted.count,
          cooling: status.usage[i]!.cooling,
          perDay: found?.perDay,
          fullAtMs: found?.fullAtMs,
        };
      }),
      leaked: status.leaked,
      queued: status.queued,
      routes: counts,
      ...probes && { probes: probes().summary },
      problems: this.#problemsOf(status),
    });
  }

  #problemsOf(status: AgentStatus): Problem[] {
    const { routes, probes, warnings, faults } = this.#options;
    return sortProblems([
      ...linkProblems(status),
      ...subnetProblems(status),
      ...routeProblems(routes()),
      ...probes?.().problems ?? [],
      ...faults().map(hostProblem),
      ...warnings().map((text) => problem("host", "warning", text)),
    ]);
  }

  /** Takes the hourly sample of this host's subnets. @param more other counts to sample */
  async sample(more: readonly Counted[] = []): Promise<void> {
    const { agent, samples } = this.#options;
    await samples.take([...countedSubnets(await agent.status()), ...more]);
  }

  /** The trends of this host's subnets, by subnet; less than a day of samples has none. */
  forecastsOf(
    status: Pick<AgentStatus, "usage">,
  ): ReadonlyMap<string, Forecast> {
    const { samples } = this.#options;
    return new Map(
      countedSubnets(status).flatMap((counted) => {
        const found = samples.forecast(counted);
        return found ? [[counted.subject, found] as const] : [];
      }),
    );
  }
}

function countedSubnets({ usage }: Pick<AgentStatus, "usage">): Counted[] {
  return usage.map(({ subnet, capacity, held }) => ({
    subject: formatPrefix(subnet),
    count: held,
    capacity: Number(capacity),
  }));
}

function linkProblems({ link, usage }: AgentStatus): Problem[] {
  const fault = findMembershipFault(link, usage.length > 0);
  if (!fault) return [];
  const { code, severity, text, advice } = fault;
  return [problem(code, severity, `${text}; ${advice}`)];
}

function subnetProblems({ usage, leaked, queued }: AgentStatus): Problem[] {
  const full = usage.filter(({ held, reserved, capacity }) =>
    BigInt(held + reserved) >= capacity
  );
  return [
    ...full.map(({ subnet, capacity, reserved }) =>
      problem(
        "subnet-full",
        "error",
        `all ${capacity} addresses of ${formatPrefix(subnet)} are held${
          reserved === 0 ? "" : " or reserved"
        }`,
      )
    ),
    ...leaked > 0
      ? [
        problem(
          "leaks",
          "warning",
          `${leaked} allocations belong to containers that are gone, and are released after the grace period`,
        ),
      ]
      : [],
    ...queued > 0
      ? [
        problem(
          "queued-releases",
          "warning",
          `${queued} releases wait on disk`,
        ),
      ]
      : [],
  ];
}

function routeProblems({ routes, error }: RouteReport): Problem[] {
  const blocked = routes.filter(({ state }) => state.kind === "conflict");
  const missing = routes.filter(({ state }) =>
    ["pending", "failed", "off link", "link down"].includes(state.kind)
  );
  const describe = (code: string, severity: Severity, of: typeof routes) => {
    const [first] = of;
    if (!first) return [];
    const more = of.length > 1 ? `, and ${of.length - 1} more` : "";
    const text = `the route ${
      formatDesiredRoute(first.route)
    } is not installed: ${explainRoute(first)}${more}`;
    return [problem(code, severity, text)];
  };
  return [
    ...describe("route-conflict", "error", blocked),
    ...describe("route-missing", "error", missing),
    ...error === undefined ? [] : [problem("routes", "error", error)],
  ];
}

/** A command that can do harm says so: the sentence of the problem does. */
function hostProblem({ name, status, found, means, fix }: Check): Problem {
  const text = `${name}: ${found}; ${means}`;
  const severity = status === "failed" ? "error" : "warning";
  if (typeof fix === "string") {
    const advice = fix === "" ? "" : `; to fix it: ${fix}`;
    return problem("host-network", severity, text + advice);
  }
  const harm = fix.harm === undefined ? "" : `; beware: ${fix.harm}`;
  return {
    ...problem("host-network", severity, text + harm),
    fix: fix.command,
  };
}

function problem(code: string, severity: Severity, text: string): Problem {
  return { code, severity, text, fix: "" };
}
