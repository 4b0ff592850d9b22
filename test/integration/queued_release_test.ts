import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { LabClock } from "../lab/lab_clock.ts";
import { installPlugin } from "../support/cni_plugin.ts";
import { createIpamClient, type IpamClient } from "../support/ipam_client.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { run, type RunResult } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

const GRACE_MS = 400;
const ARGS = ["--leak-interval", "100ms", "--leak-grace", `${GRACE_MS}ms`];
/** Enough for several checks after the grace period. */
const SETTLED_MS = GRACE_MS + 500;
/** A group of Debian's, with whose queue the plugin needs no space on the agent's disk. */
const GROUP = ["--socket-group", "adm"];

/** A host whose agent has a small disk and a clock of its own. */
class SmallHost {
  readonly agent: SpawnedAgent;
  readonly client: IpamClient;
  readonly clock: LabClock;
  readonly #dir: string;
  readonly #namespace: Namespace;

  constructor(
    dir: string,
    parts: { agent: SpawnedAgent; clock: LabClock; namespace: Namespace },
  ) {
    this.#dir = dir;
    this.agent = parts.agent;
    this.clock = parts.clock;
    this.#namespace = parts.namespace;
    this.client = createIpamClient(this.agent.port);
  }

  static use(
    args: readonly string[],
    test: (host: SmallHost) => Promise<void>,
  ): Promise<void> {
    return withTempDir(async (dir) => {
      await Deno.mkdir(`${dir}/disk`);
      await Deno.mkdir(`${dir}/plugins`);
      const socketPath = `${dir}/agent.sock`;
      await installPlugin(`${dir}/plugins`, { kind: "native", socketPath });
      await using namespace = await createNamespace(
        "mount",
        `mount -t tmpfs -o size=12m none '${dir}/disk'
        mkdir -p /run/netns
        mount -t tmpfs none /run/netns`,
      );
      const clock = await LabClock.create(`${dir}/clock`);
      await using agent = await spawnAgent({
        ...{ socketPath, stateDir: `${dir}/disk/state` },
        ...{ within: namespace.within, env: clock.env },
        args: [...ARGS, ...args],
      });
      const host = new SmallHost(dir, { agent, clock, namespace });
      try {
        await test(host);
      } finally {
        host.client[Symbol.dispose]();
      }
    });
  }

  async start(): Promise<void> {
    await this.#run("ip", ["netns", "add", "c1"]);
  }

  async end(): Promise<void> {
    await this.#run("ip", ["netns", "delete", "c1"]);
  }

  /** Calls the plugin for the container. @returns its answer, with `waits` when a DEL was queued */
  async call(
    verb: "ADD" | "DEL",
    { id = "c1", ips = [] }: { id?: string; ips?: readonly string[] } = {},
  ): Promise<{ code?: number; address?: string; waits: boolean }> {
    const socket = `${this.#dir}/agent.sock`;
    const { stdout, stderr } = await this.#run(
      `${this.#dir}/plugins/stellar-net`,
      [],
      {
        env: {
          ...this.clock.env,
          CNI_COMMAND: verb,
          CNI_CONTAINERID: id,
          CNI_IFNAME: "eth0",
          CNI_NETNS: "/run/netns/c1",
          CNI_PATH: `${this.#dir}/plugins`,
        },
        stdin: JSON.stringify({
          ...{ cniVersion: "1.1.0", name: "pods", args: { cni: { ips } } },
          ipam: { type: "stellar-net", socket },
        }),
      },
    );
    const answer = stdout === "" ? {} : JSON.parse(stdout);
    return {
      ...answer.code !== undefined && { code: answer.code },
      ...answer.ips && { address: answer.ips[0].address.split("/")[0] },
      waits: /The release waits in/.test(stderr),
    };
  }

  async fillDisk(): Promise<void> {
    const path = `${this.#dir}/disk/filler`;
    const { stderr } = await this.#run("dd", [
      ...["if=/dev/zero", `of=${path}`, "bs=4096"],
    ]);
    assert.match(stderr, /No space left/);
  }

  async freeDisk(): Promise<void> {
    await this.#run("rm", [`${this.#dir}/disk/filler`]);
  }

  /** The queued releases: their names with their texts. */
  async queued(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const { stdout } = await this.#run("sh", [
      ...[
        "-c",
        'cd "$0" && for f in *; do test -f "$f" && echo "$f" && cat "$f"; done',
      ],
      `${this.#dir}/agent.sock.queue`,
    ]);
    const lines = stdout.split("\n");
    for (let i = 0; i + 1 < lines.length; i += 2) {
      found.set(lines[i]!, lines[i + 1]!);
    }
    return found;
  }

  /** Puts queued releases back, as after a power cut that undid their removal. */
  async putBack(entries: ReadonlyMap<string, string>): Promise<void> {
    for (const [name, text] of entries) {
      await this.#run("tee", [`${this.#dir}/agent.sock.queue/${name}`], {
        stdin: `${text}\n`,
      });
    }
  }

  /** Asserts that the container holds an address, and keeps it. */
  async keeps(address: string | undefined): Promise<void> {
    assert.ok(address);
    const held = [["c1", [address]]];
    assert.deepEqual(await this.client.list(), held);
    await delay(SETTLED_MS);
    assert.deepEqual(await this.client.list(), held);
    const other = await this.call("ADD", { id: "c2", ips: [address] });
    assert.equal(other.code, 102);
  }

  #run(
    program: string,
    args: readonly string[],
    options: Parameters<typeof run>[2] = {},
  ): Promise<RunResult> {
    const [command, ...words] = this.#namespace.within;
    return run(command!, [...words, program, ...args], options);
  }
}

for (const hours of [0, -50, 50]) {
  Deno.test(`a queued DEL never frees the addresses of the next container: the clock moves ${hours} hours`, () =>
    SmallHost.use([], async (host) => {
      await host.start();
      assert.ok((await host.call("ADD")).address);
      await host.agent.stop();
      await host.clock.moveHours(hours);
      assert.equal((await host.call("DEL")).waits, true);
      await host.end();
      const entries = await host.queued();
      assert.equal(entries.size, 1);
      await host.agent.start();
      // Nothing stays held for good, whatever the clock did.
      assert.deepEqual(await host.client.list(), []);
      assert.equal((await host.queued()).size, 0);

      await host.start();
      const { address } = await host.call("ADD");
      await host.keeps(address);
      await host.putBack(entries);
      await host.agent.restart();
      assert.equal((await host.queued()).size, 0);
      await host.keeps(address);
      assert.deepEqual(await host.call("DEL"), { waits: false });
      assert.deepEqual(await host.client.list(), []);
    }));
}

Deno.test("a DEL that found the disk full never frees the addresses of the next container", () =>
  SmallHost.use(GROUP, async (host) => {
    await host.start();
    assert.ok((await host.call("ADD")).address);
    await host.fillDisk();
    assert.equal((await host.call("DEL")).waits, true);
    await host.end();
    await host.start();
    assert.equal((await host.call("ADD")).code, 11);
    const entries = await host.queued();
    await host.freeDisk();
    const { address } = await host.call("ADD");
    assert.equal((await host.queued()).size, 0);
    await host.keeps(address);
    await host.putBack(entries);
    await host.agent.restart();
    await host.keeps(address);
  }));

Deno.test("a container whose DEL could not even be queued keeps its address when it runs again", () =>
  SmallHost.use([], async (host) => {
    await host.start();
    const { address } = await host.call("ADD");
    await host.fillDisk();
    // The queue is on the same disk.
    assert.deepEqual(await host.call("DEL"), { code: 11, waits: false });
    await host.end();
    await host.start();
    await host.freeDisk();
    assert.equal((await host.call("ADD")).address, address);
    await host.keeps(address);
  }));
