import { FakeIp } from "../fake/fake_ip.ts";
import { testRoutes } from "../suite/route_suite.ts";

testRoutes("the fake ip", {
  open() {
    const ip = new FakeIp();
    return Promise.resolve(
      Object.assign(ip, { dispose: () => Promise.resolve() }),
    );
  },
  debounceMs: 2,
  walks: 20,
  many: 4096,
  onRepaired: () => {},
});
