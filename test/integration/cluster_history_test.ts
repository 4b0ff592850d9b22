import { History } from "../lab/history.ts";
import { FEW_SUBNETS, walkHistory } from "../lab/history_walk.ts";
import { clusterFlags, Lab } from "../lab/lab.ts";

const HOSTS = 4;
const BATCHES = 8;
/** No batch is begun after that. */
const TIME_LIMIT_MS = 70_000;

Deno.test("whatever happens to a cluster, nothing belongs to two, nothing is lost, and kernels follow the registry", async (t) => {
  await using lab = await Lab.create({
    hosts: HOSTS,
    agentFlags: (host) => [
      ...clusterFlags(host),
      ...["--cool-down", "0s"],
      ...host.number === 1 ? FEW_SUBNETS : [],
    ],
  });
  await walkHistory(t, new History(lab), {
    batches: BATCHES,
    timeLimitMs: TIME_LIMIT_MS,
  });
});
