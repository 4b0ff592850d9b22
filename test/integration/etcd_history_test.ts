import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { History } from "../lab/history.ts";
import { FEW_SUBNETS, walkHistory, type Weighed } from "../lab/history_walk.ts";

const BATCHES = 5;
/** No batch is begun after that. */
const TIME_LIMIT_MS = 45_000;

/** What may happen to etcd: it keeps its quorum. */
function faultsOf({ lab, etcd, registries }: EtcdRegistryLab): Weighed[] {
  const startAll = () => {
    for (const member of etcd.members) if (!member.isRunning) member.start();
    return etcd.ready();
  };
  return [
    [2, "kill a member", async (_, pick) => {
      await startAll();
      await pick(etcd.members).kill();
    }],
    [1, "kill the leader", async () => {
      await startAll();
      await (await etcd.leader()).kill();
    }],
    [
      2,
      "cut a host from a member",
      (_, pick) => lab.partition(pick(registries), pick(etcd.members).host),
    ],
    [1, "start all members", startAll],
  ];
}

Deno.test("whatever happens to a cluster on etcd, nothing belongs to two, nothing is lost, and kernels follow the registry", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    ...{ registries: 3, joiners: 1 },
    registryArgs: FEW_SUBNETS,
    agentArgs: ["--cool-down", "0s"],
  });
  const { lab, etcd, hosts } = cluster;
  await walkHistory(t, new History(lab, { hosts, isShared: true }), {
    more: faultsOf(cluster),
    mend: async () => {
      for (const member of etcd.members) if (!member.isRunning) member.start();
      await lab.heal();
      await etcd.ready();
    },
    batches: BATCHES,
    timeLimitMs: TIME_LIMIT_MS,
  });
});
