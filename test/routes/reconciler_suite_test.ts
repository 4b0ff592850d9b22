import { FakeIp } from "../fake/fake_ip.ts";
import { testRoutes } from "../suite/route_suite.ts";

testRoutes("the fake ip", {
  open() {
    const ip = new FakeIp();
    const dispose = () => Promise.resolve();
    return Promise.resolve({ runner: ip, follower: ip, dispose });
  },
  debounceMs: 2,
  walks: 20,
  many: 4096,
  onRepaired: () => {},
});
