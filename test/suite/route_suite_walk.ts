import fc from "fast-check";
import type { DesiredRoute } from "../../src/routes/plan/desired_route.ts";
import {
  type RouteSuiteOptions,
  routeTest,
  type RouteWorld,
  wish,
} from "./route_suite_world.ts";

const THREE = wish(
  "172.16.4.0/22 via 198.18.0.2",
  "172.16.8.0/22 via 198.18.0.3",
  "fd00:4::/64 via 2001:db8::2",
);
/** One next hop is another, one destination went, one came. */
const CHANGED = wish(
  "172.16.4.0/22 via 198.18.0.9",
  "172.16.12.0/22 via 198.18.1.2",
  "fd00:4::/64 via 2001:db8::9",
);

/** How the host, its operator and the cluster can be, and what there is to see then. */
interface State {
  readonly name: string;
  readonly wish: readonly DesiredRoute[];
  /** Whether the first interface is up; the second always is. */
  readonly isUp: boolean;
  /** Whether the second interface has its address. */
  readonly hasSecond: boolean;
  /** What an operator added, as for `ip route replace`. */
  readonly foreign: readonly string[];
  readonly text: readonly string[];
}

const UP = { isUp: true, hasSecond: false, foreign: [] };

const STATES: readonly State[] = [
  { ...UP, name: "nothing is wanted", wish: [], text: [] },
  {
    ...UP,
    name: "three are wanted",
    wish: THREE,
    text: [
      "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
      "172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
      "fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
      "172.16.4.0/22: installed",
      "172.16.8.0/22: installed",
      "fd00:4::/64: installed",
    ],
  },
  {
    ...UP,
    name: "the wish has changed, a next hop is off link",
    wish: CHANGED,
    text: [
      "172.16.4.0/22 via 198.18.0.9 dev up0 proto 83",
      "fd00:4::/64 via 2001:db8::9 dev up0 proto 83",
      "172.16.4.0/22: installed",
      "172.16.12.0/22: off link",
      "fd00:4::/64: installed",
    ],
  },
  {
    ...UP,
    name: "the wish has changed, all next hops are on link",
    hasSecond: true,
    wish: CHANGED,
    text: [
      "172.16.4.0/22 via 198.18.0.9 dev up0 proto 83",
      "172.16.12.0/22 via 198.18.1.2 dev up1 proto 83",
      "fd00:4::/64 via 2001:db8::9 dev up0 proto 83",
      "172.16.4.0/22: installed",
      "172.16.12.0/22: installed",
      "fd00:4::/64: installed",
    ],
  },
  {
    ...UP,
    name: "the first link is down",
    isUp: false,
    hasSecond: true,
    wish: CHANGED,
    text: [
      "172.16.12.0/22 via 198.18.1.2 dev up1 proto 83",
      "172.16.4.0/22: link down",
      "172.16.12.0/22: installed",
      "fd00:4::/64: off link",
    ],
  },
  {
    ...UP,
    name: "the first link is down and a blackhole is there",
    isUp: false,
    wish: THREE,
    foreign: ["blackhole 172.16.8.0/22"],
    text: [
      "blackhole 172.16.8.0/22",
      "172.16.4.0/22: link down",
      "172.16.8.0/22: conflict",
      "fd00:4::/64: off link",
    ],
  },
  {
    ...UP,
    name: "an operator has routes to two destinations",
    wish: THREE,
    foreign: [
      "172.16.4.0/22 via 198.18.0.77 dev up0",
      "fd00:4::/64 via 2001:db8::77 dev up0 metric 99",
    ],
    text: [
      "172.16.4.0/22 via 198.18.0.77 dev up0",
      "172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
      "fd00:4::/64 via 2001:db8::77 dev up0 metric 99",
      "172.16.4.0/22: conflict",
      "172.16.8.0/22: installed",
      "fd00:4::/64: conflict",
    ],
  },
  {
    ...UP,
    name: "an operator has routes that nobody else wants",
    wish: CHANGED,
    hasSecond: true,
    foreign: [
      "172.16.8.0/22 via 198.18.1.77 dev up1 metric 7",
      "unreachable fd00:8::/64 dev lo",
    ],
    text: [
      "172.16.4.0/22 via 198.18.0.9 dev up0 proto 83",
      "172.16.8.0/22 via 198.18.1.77 dev up1 metric 7",
      "172.16.12.0/22 via 198.18.1.2 dev up1 proto 83",
      "fd00:4::/64 via 2001:db8::9 dev up0 proto 83",
      "unreachable fd00:8::/64 dev lo",
      "172.16.4.0/22: installed",
      "172.16.12.0/22: installed",
      "fd00:4::/64: installed",
    ],
  },
];

/** What spoils the agent's routes, where it is possible. */
const DAMAGE: readonly string[] = [
  "-4 route flush proto 83",
  "-6 route flush proto 83",
  "route del 172.16.4.0/22 proto 83",
  "route del fd00:4::/64 proto 83",
  "route add 172.16.99.0/24 via 198.18.0.2 proto 83",
  "route append 172.16.4.0/22 via 198.18.0.55 proto 83",
  "route append fd00:4::/64 via 2001:db8::55 proto 83",
  "route add 172.16.8.0/22 via 198.18.0.55 proto 83 metric 5",
];

/** A step: into a state, then damage. */
interface Step {
  readonly state: string;
  readonly damage: readonly string[];
}

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    state: fc.constantFrom(...STATES.map(({ name }) => name)),
    damage: fc.subarray([...DAMAGE], { maxLength: 3 }),
  }),
  { minLength: 10, maxLength: 25, size: "max" },
);

/** Whatever came before, a state looks the same. */
export function testRouteWalk(name: string, options: RouteSuiteOptions): void {
  const test = routeTest(name, options);

  test("every state is reached from every other", async (world) => {
    const walker = new Walker(world);
    for (const [index, state] of STATES.entries()) {
      await walker.enter(state);
      await walker.enter(state);
      for (const earlier of STATES.slice(0, index)) {
        await walker.enter(earlier);
        await walker.enter(state);
      }
    }
  });

  for (let walk = 1; walk <= options.walks; walk++) {
    test(`walk ${walk} through states and damage`, async (world) => {
      const walker = new Walker(world);
      await fc.assert(
        fc.asyncProperty(steps, async (steps) => {
          for (const { state: name, damage } of steps) {
            const state = STATES.find((state) => state.name === name)!;
            await walker.enter(state);
            for (const command of damage) await world.try(command);
            await walker.land(state);
          }
        }),
        { numRuns: 1, endOnFailure: true },
      );
    });
  }
}

/** Moves a world from state to state by what an operator would do. */
class Walker {
  readonly #world: RouteWorld;
  #at: State = { ...UP, name: "start", wish: [], text: [] };

  constructor(world: RouteWorld) {
    this.#world = world;
  }

  async enter(state: State): Promise<void> {
    const before = this.#at;
    this.#at = state;
    if (before.wish !== state.wish || before.name === "start") {
      this.#world.reconciler.setDesired(state.wish);
    }
    // Some have gone with the link.
    for (const route of before.foreign) {
      await this.#world.try(`route del ${route}`);
    }
    if (before.isUp && !state.isUp) await this.#world.ip("link set up0 down");
    if (!before.isUp && state.isUp) {
      await this.#world.ip("link set up0 up");
      await this.#world.ip("address add 2001:db8::1/64 dev up0 nodad");
    }
    if (before.hasSecond !== state.hasSecond) {
      const verb = state.hasSecond ? "add" : "del";
      await this.#world.ip(`address ${verb} 198.18.1.1/24 dev up1`);
    }
    for (const route of state.foreign) {
      await this.#world.ip(`route replace ${route}`);
    }
    await this.land(state);
  }

  /** Waits until everything is as the state has it. */
  async land(state: State): Promise<void> {
    await this.#world.settle(state.text);
  }
}
