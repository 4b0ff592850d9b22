import { join } from "node:path";
import { copyAsVersion } from "../lab/lab_image.ts";
import type { LabHost } from "../lab/lab_host.ts";
import {
  AlertWatch,
  createWatchedLab,
  GAP_MS,
  STRICT,
} from "../lab/watched_lab.ts";
import { ROOT } from "../generate.ts";

const NEXT_VERSION = "9.9.9";

/** The queries of the dashboard by panel, with what Grafana fills in. */
async function readPanels(): Promise<ReadonlyMap<string, readonly string[]>> {
  const text = await Deno.readTextFile(join(ROOT, "docs/dashboard.json"));
  const { panels } = JSON.parse(text) as {
    readonly panels: readonly {
      readonly type: string;
      readonly title: string;
      readonly targets?: readonly { readonly expr: string }[];
    }[];
  };
  return new Map(
    panels.filter(({ type }) => type !== "row").map(({ title, targets }) => [
      title,
      targets!.map(({ expr }) =>
        expr.replaceAll("$__rate_interval", "10s").replaceAll("$instance", ".*")
      ),
    ]),
  );
}

/** Panels that are empty while all is well: they show what is wrong. */
const EMPTY_WHEN_WELL = [
  "Hosts with conflicts or missing routes",
  "Not reachable, or fenced",
  "Time left, of the whole",
];

Deno.test("no alert fires while a cluster works and its parts restart, and every panel shows data", async (t) => {
  await using watched = await createWatchedLab({
    ...{ hosts: 3, divisor: STRICT, secure: true },
  });
  const { prometheus, hosts, lab } = watched;
  const [host1, host2, host3] = hosts as [LabHost, LabHost, LabHost];
  {
    await using watch = new AlertWatch(prometheus, async (turn) => {
      // Work to show, and a call that fails. The agent may be restarting.
      await host1.exec("stellar-net", ["ip", "allocate", `work${turn % 5}`]);
      await host1.exec("stellar-net", ["ip", "release", `work${turn % 5}`]);
      await host1.exec("stellar-net", ["node", "remove", "nobody"]);
    });
    const isQuiet = () => watch.check();
    await t.step("containers come and go", async () => {
      for (const host of hosts) {
        await host.addContainer("c1");
        await host.addContainer("c2");
        await host.removeContainer("c2");
      }
      await host1.must("stellar-net", [
        ...["backup", join(host1.dir, "backup.jsonl")],
      ]);
      isQuiet();
    });
    await t.step(
      "every agent is upgraded, the registry in between",
      async () => {
        const next = await copyAsVersion(join(lab.dir, "next"), NEXT_VERSION);
        const versions = async () => {
          const builds = await prometheus.query("stellar_net_build_info");
          return builds.map(({ labels }) => labels.version).sort().join(" ");
        };
        const before = (await versions()).split(" ")[0]!;
        for (const [i, host] of [host2, host1, host3].entries()) {
          host.agent.program = next;
          await host.agent.stop();
          await host.agent.start();
          for (const each of hosts) await each.joined();
          const wanted = [
            ...Array<string>(2 - i).fill(before),
            ...Array<string>(i + 1).fill(NEXT_VERSION),
          ].join(" ");
          await lab.waitFor(wanted, async () => await versions() === wanted);
        }
        isQuiet();
      },
    );
    await t.step("the registry is restored from a backup", async () => {
      await host1.must("stellar-net", [
        "route",
        "add",
        "10.60.0.0/16",
        host1.address,
      ]);
      await host1.agent.stop();
      await Deno.rename(host1.agent.stateDir, `${host1.agent.stateDir}.old`);
      await host1.must("stellar-net", [
        ...["restore", join(host1.dir, "backup.jsonl")],
        ...["--state", host1.agent.stateDir, "--settle", "5s"],
      ]);
      await host1.agent.start();
      for (const host of hosts) await host.joined();
      isQuiet();
    });
    await t.step("nothing is scraped for a while", async () => {
      await prometheus.pause(GAP_MS);
      isQuiet();
    });
    await t.step("Prometheus restarts", async () => {
      await prometheus.restart();
      isQuiet();
    });
    await t.step("every panel of the dashboard shows data", async (t) => {
      await host1.must("stellar-net", [
        ...["backup", join(host1.dir, "backup2.jsonl")],
      ]);
      for (const [title, queries] of await readPanels()) {
        await t.step(title, async () => {
          for (const query of queries) {
            // A filter for what is wrong hides what is well.
            const all = EMPTY_WHEN_WELL.includes(title)
              ? query.replace(/ > 0$/, "")
              : query;
            await lab.waitFor(query, async () => {
              const samples = await prometheus.query(all);
              return samples.some(({ value }) => !Number.isNaN(value));
            }, { everyMs: 500 });
          }
        });
      }
      isQuiet();
    });
  }
});
