/**
 * Files that take more than half a minute on a quiet machine, the longest
 * first, with the reason. They start before all others.
 */
export const LONG_TESTS: ReadonlyMap<string, string> = new Map(
  ([
    ["reclaim_etcd", "--reclaim-after takes no less than a minute, twice"],
    ["reclaim", "--reclaim-after takes no less than a minute, twice"],
    ["alerts_agent", "17 alerts fire and clear, seconds after their faults"],
    ["doctor_faults", "each of 20 faults is found, fixed and looked for again"],
    ["alerts_cluster", "9 alerts fire and clear, seconds after their faults"],
    ["alerts_etcd", "8 alerts fire and clear, seconds after their faults"],
    ["docker", "Docker waits 15 s for an agent that is down, three times"],
    ["alerts_healthy", "alerts have time to fire, and do not"],
    ["insecure_tls", "every host changes four times, with each store"],
    [
      "path_test",
      "lost packets are sent again, and a killed agent's are missed",
    ],
    ["etcd_quorum", "hosts notice an outage after a few heartbeats"],
    ["etcd_faults", "changes go on before, during and after 9 faults"],
    ["cluster_expiry", "agents back off between attempts to renew"],
    ["procedures", "it runs every procedure of docs/operations.md"],
    ["cni_native", "the plugin waits 10 s for its input, in two builds"],
    ["cluster_renewal", "the authority changes twice under load"],
    ["cluster_registry", "hosts notice an outage after a few heartbeats"],
    ["compromised_join", "it floods a registry with joins"],
    ["build_unpack", "it builds the executable, and changes what it unpacks"],
    ["path_probe", "each of 20 faults costs a few probes, which time out"],
    ["etcd_identity", "a host is missed after a few heartbeats"],
    ["ui_views", "it opens each view in two looks, and builds two labs"],
    ["ui_live", "a killed agent is missed after a few heartbeats"],
    ["slow_disk", "every commit waits a second for the disk"],
    ["hammer", "calls and crashes go on for half a minute"],
  ] as const).map(([name, why]) => [`test/integration/${name}_test.ts`, why]),
);
