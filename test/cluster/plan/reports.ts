import type { Report } from "../../../src/cluster/plan/report.ts";

/** A report of a healthy host. */
export const REPORT: Report = {
  version: "0.1.0",
  startedAtMs: 1,
  bootId: "boot",
  subnets: [{
    cidr: "172.16.0.0/22",
    capacity: 1000,
    held: 10,
    cooling: 0,
    perDay: undefined,
    fullAtMs: undefined,
  }],
  leaked: 0,
  queued: 0,
  routes: { wanted: 2, installed: 2, conflicts: 0, unresolved: 0 },
  problems: [],
};
