import { testRoutes } from "../suite/route_suite.ts";
import { NetnsHost } from "../support/netns_host.ts";

testRoutes("a real kernel", {
  async open() {
    const host = await NetnsHost.create();
    return {
      runner: host.runner,
      follower: host.follower,
      dispose: () => host[Symbol.asyncDispose](),
    };
  },
  debounceMs: 50,
  walks: 2,
  many: 4096,
  onRepaired: (what, ms) =>
    console.log(`  ${what}: put right after ${ms.toFixed(0)} ms`),
});
