import assert from "node:assert/strict";
import {
  encodeQueueEntry,
  queueFileName,
} from "../../src/cni/text/queue_entry.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { freePort } from "../support/free_port.ts";
import { createNamespace } from "../support/namespace.ts";
import { Prometheus } from "../support/prometheus.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { TestAuthority } from "../support/test_authority.ts";

/** Minutes become a second: every fault is waited for twice. */
const DIVISOR = 3_600;
/** The addresses of a /28 that can be given out. */
const CAPACITY = 13;
/** More than three changes of the time of the start. */
const STARTS = 5;
/** Files that an agent may open, and idle clients of each listener: it serves no more of them. */
const FILES = 80;
const CONNECTIONS = 16;

/** A fault, and what its alert is. */
interface Fault {
  readonly alerts: readonly string[];
  /** Default: the agent's. */
  readonly instance?: string;
  /** Whether the other faults are caused before it clears: it looks far back. */
  readonly clearsLate?: boolean;
  cause(): Promise<unknown>;
  fix(): Promise<unknown>;
}

/** Serves what an agent tells, changed: for defects and disk errors, which no test here can cause. */
function servePage(
  read: () => Promise<string>,
): { readonly instance: string } & AsyncDisposable {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async () => {
      try {
        return new Response(await read());
      } catch {
        return new Response("", { status: 503 });
      }
    },
  );
  const { port } = server.addr;
  return {
    instance: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("every alert of one agent fires under its fault, and clears after the fix", (t) =>
  withTempDir(async (dir) => {
    await using namespace = await createNamespace(
      "mount",
      `mkdir '${dir}/state'; mount -t tmpfs -o size=24m,mode=700 none '${dir}/state'`,
    );
    const authority = await TestAuthority.create(dir);
    const paths = await authority.issue("node1");
    await using agent = await spawnAgent({
      stateDir: `${dir}/state`,
      within: namespace.within,
      args: ["--network", "10.6.0.0/24", "--subnet-prefix", "28"].concat(
        ["--cool-down", "0s", "--leak-interval", "1s", "--leak-grace", "1h"],
        ["--tls-cert", paths.certPath, "--tls-key", paths.keyPath],
        ["--tls-ca", paths.caPath],
      ),
    });
    const crowdedInstance = `127.0.0.1:${freePort()}`;
    await using crowded = await spawnAgent({
      node: "node2",
      within: ["prlimit", `--nofile=${FILES}:${FILES}`],
      args: ["--metrics", crowdedInstance],
    });
    using client = createIpamClient(agent.port);
    await client.allocate("first");
    let internalErrors = 0;
    let revision: number | undefined;
    let isReadable = true;
    await using defective = servePage(async () => {
      const text = await (await fetch(`${agent.url}/metrics`)).text();
      const head = /^stellar_net_registry_head_revision (\d+)$/m.exec(text)![1];
      return text
        .replace(/^stellar_net_registry_head_revision.*\n/m, "")
        .replace(
          /^(stellar_net_registry_revision) .*$/m,
          `$1 ${revision ?? head}`,
        )
        .replace(
          /^(stellar_net_store_readable) .*$/m,
          `$1 ${Number(isReadable)}`,
        ) +
        'stellar_net_rpc_calls_total{service="s",method="m",code="Internal"} ' +
        `${internalErrors}\n`;
    });
    const instance = `127.0.0.1:${agent.port}`;
    await using prometheus = await Prometheus.start({
      dir: `${dir}/prometheus`,
      divisor: DIVISOR,
      targets: {
        "stellar-net": [instance, defective.instance],
        other: [crowdedInstance],
      },
    });
    const cli = async (...args: readonly string[]) => {
      const done = await run(Deno.execPath(), [
        ...["run", "-A", "main.ts", "--socket", agent.socketPath, ...args],
      ]);
      assert.equal(done.code, 0, done.stderr);
    };
    const connections: Deno.Conn[] = [];
    const inState = (path: string) => namespace.pathOf(`${dir}/state/${path}`);
    /** Runs a script where the agent sees what it mounts. */
    const inside = async (script: string) => {
      const [program, ...words] = [...namespace.within, "bash", "-ec", script];
      const { code, stderr } = await run(program!, words);
      assert.equal(code, 0, stderr);
    };
    const ids = Array.from({ length: CAPACITY - 1 }, (_, i) => `c${i}`);
    const releaseAll = async () => {
      for (const id of ids) await client.release(id);
    };
    const faults: Readonly<Record<string, Fault>> = {
      "an agent that is down": {
        alerts: ["StellarNetAgentDown"],
        cause: () => agent.kill("SIGKILL"),
        fix: () => agent.start(),
      },
      "an agent that starts again and again": {
        alerts: ["StellarNetAgentRestarting"],
        clearsLate: true,
        cause: async () => {
          const started = async () =>
            (await prometheus.query(
              `process_start_time_seconds{instance="${instance}"}`,
            ))[0]?.value;
          for (let i = 0; i < STARTS; i++) {
            const before = await started();
            await agent.kill("SIGKILL");
            await agent.start();
            // A start that is not scraped is none to Prometheus.
            await waitFor("a scrape of the new start", async () => {
              const after = await started();
              return after !== undefined && after !== before;
            }, { everyMs: 100 });
          }
        },
        fix: () => Promise.resolve(),
      },
      "a subnet that is nearly full": {
        alerts: ["StellarNetSubnetNearlyFull"],
        cause: async () => {
          for (const id of ids.slice(1)) await client.allocate(id);
        },
        fix: releaseAll,
      },
      "a subnet that is full": {
        alerts: ["StellarNetSubnetExhausted", "StellarNetAllocationsRefused"],
        cause: async () => {
          for (const id of ids) await client.allocate(id);
          await prometheus.waitForAlert("StellarNetSubnetExhausted", {
            instance,
          });
          await assert.rejects(client.allocate("more"), /exhausted/);
        },
        fix: releaseAll,
      },
      "containers that vanished": {
        alerts: ["StellarNetLeakCandidates"],
        cause: async () => {
          const netns = `${dir}/netns`;
          await inside(`touch '${netns}'; unshare --net='${netns}' true`);
          for (const id of ids) {
            const request = {
              owner: { containerId: id },
              attachment: { netns },
            };
            const { code, stdout } = await run("curl", [
              ...["--silent", "--fail-with-body", "--retry", "5"],
              ...["--retry-all-errors", "--unix-socket"],
              ...[agent.socketPath, "--json", JSON.stringify(request)],
              "http://agent/stellar.net.v1.IpamService/Allocate",
            ]);
            assert.equal(code, 0, stdout);
          }
          await inside(`umount '${netns}'; rm '${netns}'`);
        },
        fix: releaseAll,
      },
      "a full disk, and a release that waits": {
        alerts: [
          "StellarNetStoreCommitsFail",
          "StellarNetReleaseQueueStuck",
          // The queued release is a problem, whose event cannot be stored.
          "StellarNetEventsNotStored",
        ],
        cause: async () => {
          const entry = encodeQueueEntry({
            owner: {
              network: "default",
              containerId: "first",
              interfaceName: "eth0",
            },
            requestedAtMs: Date.now(),
          });
          await Deno.writeTextFile(inState("waiting"), entry);
          await run("dd", [
            ...["if=/dev/zero", `of=${inState("filler")}`, "bs=4k"],
          ]);
          for (let i = 0; i < 40; i++) {
            await client.allocate(`d${i % 8}`).catch(() => {});
            await client.release(`d${i % 8}`).catch(() => {});
          }
          await Deno.rename(
            inState("waiting"),
            inState(`queue/${queueFileName(Date.now(), crypto.randomUUID())}`),
          );
          const ready = await fetch(`${agent.url}/readyz`);
          assert.equal(ready.status, 503, await ready.text());
        },
        fix: () => Deno.remove(inState("filler")),
      },
      "files that are used up": {
        alerts: ["StellarNetFilesNearlyUsedUp"],
        instance: crowdedInstance,
        cause: async () => {
          const { port, socketPath: path } = crowded;
          for (let i = 0; i < CONNECTIONS; i++) {
            connections.push(await Deno.connect({ port }));
            connections.push(await Deno.connect({ transport: "unix", path }));
          }
        },
        // deno-lint-ignore require-await -- a fault is asynchronous
        fix: async () => connections.forEach((each) => each.close()),
      },
      "a certificate that is not renewed": {
        alerts: ["StellarNetCertificateExpiring"],
        cause: () => authority.issue("node1", { days: 1, startedHoursAgo: 23 }),
        fix: () => authority.issue("node1"),
      },
      "a new certificate that cannot be used": {
        alerts: ["StellarNetRenewalFailing"],
        cause: () => Deno.writeTextFile(paths.certPath, "no certificate"),
        fix: () => authority.issue("node1"),
      },
      "no backup": {
        alerts: ["StellarNetBackupOld"],
        cause: () => Promise.resolve(),
        fix: () => cli("backup", `${dir}/backup.jsonl`),
      },
      "a state that cannot be read": {
        alerts: ["StellarNetStoreUnreadable"],
        instance: defective.instance,
        // deno-lint-ignore require-await -- a fault is asynchronous
        cause: async () => void (isReadable = false),
        // deno-lint-ignore require-await -- a fault is asynchronous
        fix: async () => void (isReadable = true),
      },
      "a defect in a call": {
        alerts: ["StellarNetCallsFail"],
        instance: defective.instance,
        // deno-lint-ignore require-await -- a fault is asynchronous
        cause: async () => void internalErrors++,
        fix: () => Promise.resolve(),
      },
      "an agent that stands still": {
        alerts: ["StellarNetRegistryBehind"],
        instance: defective.instance,
        cause: async () => {
          revision = 0;
          await client.allocate("c0");
        },
        // deno-lint-ignore require-await -- a fault is asynchronous
        fix: async () => void (revision = undefined),
      },
    };
    const late: Fault[] = [];
    const at = (fault: Fault) => ({ instance: fault.instance ?? instance });
    const clears = async (fault: Fault) => {
      for (const alert of fault.alerts) {
        await prometheus.waitForAlert(alert, { ...at(fault), fires: false });
      }
    };
    for (const [name, fault] of Object.entries(faults)) {
      await t.step(name, async () => {
        await fault.cause();
        for (const alert of fault.alerts) {
          await prometheus.waitForAlert(alert, at(fault));
        }
        await fault.fix();
        if (fault.clearsLate) late.push(fault);
        else await clears(fault);
      });
    }
    await t.step("those that look far back clear too", async () => {
      for (const fault of late) await clears(fault);
    });
  }));
