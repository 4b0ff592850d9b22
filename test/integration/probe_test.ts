import assert from "node:assert/strict";
import { join } from "node:path";
import { clusterFlags, Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { parseExposition } from "../support/exposition.ts";

/** A path in `status --json`. */
interface ProbedPath {
  readonly peer: string;
  readonly state: string;
  readonly since: string;
  readonly mtuBytes: number;
}

interface ProbeStatus {
  readonly probes: Readonly<Record<"alive" | "unmeasured", number>> | null;
  readonly paths: readonly ProbedPath[];
}

interface Overview {
  readonly problems: readonly {
    readonly node: string;
    readonly code: string;
    readonly subject: string | null;
    readonly text: string;
  }[];
}

interface Events {
  readonly events: readonly {
    readonly at: string;
    readonly kind: string;
    readonly node: string | null;
    readonly subject: string;
  }[];
}

interface Examination {
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
    readonly found: string;
  }[];
}

/** What an attack has found: see the script. */
interface Attacked {
  readonly toRecorded: number;
  readonly toForged: number;
  readonly toStranger: number;
  readonly answers: number;
  readonly largest: number;
  readonly request: number;
}

const ATTACK = join(import.meta.dirname!, "../lab/probe_attack.py");

/** A fault of the path between two hosts, and what each of them says of it. */
interface PathFault {
  readonly cause: () => Promise<void>;
  readonly fix: () => Promise<void>;
  readonly code: "path-dead" | "path-lossy" | "path-narrow";
  /** What the sentences of the second and the third host say. */
  readonly says: readonly [RegExp, RegExp];
  /** Paths with the fault, such as `host2 host3`. */
  readonly paths: readonly string[];
}

const BOTH = ["host2 host3", "host3 host2"];

Deno.test("a fault of a path is seen at both ends, in every view, with its cause, and nothing else is", async (t) => {
  await using lab = await Lab.create({
    hosts: 4,
    agentFlags: (host) => [
      ...[...clusterFlags(host), "--bridge", "br-sn"],
      ...host.number === 4 ? ["--probe", "off"] : [],
    ],
  });
  const [host1, host2, host3, silent] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const probing = [host1, host2, host3];
  const pathsOf = async (host: LabHost) =>
    (await host.ask<ProbeStatus>("status")).paths
      .filter(({ peer }) => peer !== silent.name);
  await t.step("paths are measured", async () => {
    await lab.waitFor("all paths", async () => {
      const all = (await Promise.all(probing.map(pathsOf))).flat();
      return all.length === 6 && all.every(({ state }) => state === "alive");
    });
    const { stdout } = await host2.exec("stellar-net", ["doctor"]);
    assert.match(
      stdout,
      /^ok +path: probes of host1, host3 are answered, in up to \d+\.\d ms$/m,
    );
    // Loss counts from then on.
    await lab.waitFor(
      "the paths to settle",
      async () =>
        (await pathsOf(host2)).every(({ since }) =>
          Date.now() - Date.parse(since) > 6_000
        ),
    );
  });
  await t.step(
    "a host with --probe off sends and answers none, and is not blamed",
    async () => {
      const { stdout } = await silent.exec("stellar-net", ["status"]);
      assert.match(stdout, /^Paths +not probed$/m);
      assert.equal(await silent.must("ss", ["-Huln", "sport = :9002"]), "");
      const { probes } = await host2.ask<ProbeStatus>("status");
      assert.deepEqual([probes!.alive, probes!.unmeasured], [2, 1]);
    },
  );
  const faults: Readonly<Record<string, PathFault>> = {
    "a cut cable": {
      cause: () => lab.partition(host2, host3),
      fix: () => lab.heal(),
      code: "path-dead",
      says: [
        /^no packet gets to host3 and back, and none of host3 arrives here$/,
        /^no packet gets to host2 and back, and none of host2 arrives here$/,
      ],
      paths: BOTH,
    },
    "a drop of one direction": {
      cause: () => lab.drop(host2, host3),
      fix: () => lab.heal(),
      code: "path-dead",
      says: [
        /^no packet gets to host3, though packets of host3 arrive here: they are lost on the way there$/,
        /^no packet gets to host2 and back, and none of host2 arrives here$/,
      ],
      paths: BOTH,
    },
    "a loss of 20 %": {
      cause: () => lab.lose(host2, host3, 20),
      fix: () => lab.heal(),
      code: "path-lossy",
      says: [
        /^about \d+ % of the packets to host3 are lost$/,
        /^about \d+ % of the packets from host2 are lost$/,
      ],
      paths: BOTH,
    },
    "a smaller MTU": {
      cause: () => host3.narrow(1400),
      fix: () => host3.narrow(),
      code: "path-narrow",
      says: [
        /^packets of more than 1400 bytes do not get to host3, those of this host and its containers have up to 1500$/,
        /^packets of more than 1400 bytes do not get to host[12], those of this host and its containers have up to 1500$/,
      ],
      // It is the port of the third host.
      paths: [...BOTH, "host1 host3", "host3 host1"].sort(),
    },
  };
  for (const [name, fault] of Object.entries(faults)) {
    await t.step(name, async (t) => {
      const causedAtMs = Date.now();
      await fault.cause();
      const state = fault.code.replace("path-", "");
      await t.step("status at both ends", async () => {
        const took: string[] = [];
        for (const [host, peer] of [[host2, host3], [host3, host2]] as const) {
          const path = await lab.waitFor(
            `"${state}" at ${host.name}`,
            async () => {
              const found = (await pathsOf(host))
                .find((path) => path.peer === peer.name);
              return found?.state === state ? found : undefined;
            },
          );
          const ms = Date.parse(path!.since) - causedAtMs;
          took.push(`${host.name} after ${(ms / 1000).toFixed(1)} s`);
        }
        console.log(`${name}: seen by ${took.join(", ")}`);
      });
      await t.step("cluster, asked at another host", async () => {
        await lab.waitFor("the problems of the path", async () => {
          const { problems } = await host1.ask<Overview>("cluster");
          // The lab's agents run with --insecure.
          const others = problems.filter(({ code }) => code !== "host");
          assert.deepEqual(
            others.map(({ node, subject }) => `${node} ${subject}`).sort(),
            [...fault.paths],
          );
          for (const [i, host] of [host2, host3].entries()) {
            const own = others.filter(({ node }) => node === host.name);
            assert.ok(
              own.every(({ code, text }) =>
                code === fault.code && fault.says[i]!.test(text)
              ),
              JSON.stringify(own),
            );
          }
          return true;
        });
      });
      await t.step("events", async () => {
        await lab.waitFor("an event at each end", async () => {
          const { events } = await host1.ask<Events>("events --limit 100");
          // A busy machine may give a host other problems.
          const since = events.filter(({ at, kind }) =>
            Date.parse(at) >= causedAtMs && kind.startsWith("path ")
          );
          const paths = (some: Events["events"]) =>
            [...new Set(some.map(({ node, subject }) => `${node} ${subject}`))]
              .sort();
          assert.deepEqual(
            paths(since.filter(({ kind }) => kind === `path ${state}`)),
            fault.paths,
          );
          // A dead path may have been lossy first; no other path is blamed.
          assert.deepEqual(paths(since), fault.paths);
          const last = Math.max(...since.map(({ at }) => Date.parse(at)));
          console.log(
            `${name}: events after ${
              ((last - causedAtMs) / 1000).toFixed(1)
            } s`,
          );
          return true;
        });
      });
      await t.step("metrics", async () => {
        for (const host of [host2, host3]) {
          const text = await host.must("curl", [
            ...["-s", "--unix-socket", host.agent.socketPath],
            "http://localhost/metrics",
          ]);
          const count = parseExposition(text).find(({ name, labels }) =>
            name === "stellar_net_probe_paths" && labels.state === state
          );
          assert.ok(count!.value >= 1);
        }
      });
      await t.step("doctor", async () => {
        await lab.waitFor("the findings of doctor", async () => {
          for (const [i, host] of [host2, host3].entries()) {
            const { stdout } = await host.exec("stellar-net", [
              "doctor",
              "--json",
            ]);
            const { checks } = JSON.parse(stdout) as Examination;
            const bad = checks.filter(({ status }) => status !== "ok");
            assert.ok(
              bad.some(({ name, found }) =>
                name === "path" && fault.says[i]!.test(found)
              ),
              stdout,
            );
            // The packets that doctor sends itself are lost as well.
            const others = bad.filter(({ name, found }) =>
              name !== "path" &&
              !(name === "packets" && fault.code === "path-dead" &&
                /the gateway of "host[23]"/.test(found))
            );
            assert.deepEqual(others, []);
          }
          return true;
        });
      });
      await fault.fix();
      await lab.waitFor("the end of the fault", async () => {
        const all = (await Promise.all(probing.map(pathsOf))).flat();
        const { problems } = await host1.ask<Overview>("cluster");
        return all.every(({ state }) => state === "alive") &&
          problems.every(({ code }) => code === "host");
      });
    });
  }
  await t.step(
    "an attacker on the link gets no answer, and no stranger gets one",
    async () => {
      const gateways = await Promise.all([host2, host1].map(async (host) => {
        const [subnet] = await host.joined();
        return subnet!.replace(/\.0\/22$/, ".1");
      }));
      const refused = async () => {
        const text = await host1.must("curl", [
          ...["-s", "--unix-socket", host1.agent.socketPath],
          "http://localhost/metrics",
        ]);
        return parseExposition(text).find(({ name, labels }) =>
          name === "stellar_net_probe_packets_total" &&
          labels.kind === "refused"
        )!.value;
      };
      const before = await refused();
      const found: Attacked = JSON.parse(
        await host2.must("python3", [ATTACK, ...gateways, "198.18.0.99"]),
      );
      // The genuine request was answered once, before the copies were sent.
      assert.ok(found.toRecorded <= 1, JSON.stringify(found));
      assert.equal(found.toForged, 0);
      assert.equal(found.toStranger, 0);
      // It went on answering the host itself, with packets that are no larger.
      assert.ok(found.answers > 0);
      assert.ok(found.largest <= found.request);
      await lab.waitFor(
        "the refused packets to be counted",
        async () => await refused() - before >= 100,
      );
    },
  );
});
