import { testClusterReach } from "../suite/cluster_reach_suite.ts";

testClusterReach("", () => Promise.resolve({}));
