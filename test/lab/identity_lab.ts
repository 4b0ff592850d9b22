import assert from "node:assert/strict";
import { allDone } from "../support/all_done.ts";
import type { RunResult } from "../support/run.ts";
import { type Members, settled } from "./cluster.ts";
import { Lab } from "./lab.ts";
import { certificateIn, identityDir } from "./lab_certificates.ts";
import { LabClock } from "./lab_clock.ts";
import type { LabHost } from "./lab_host.ts";

/**
 * A secure cluster whose clocks can be moved, and a host without an agent at
 * which operators work.
 */
export class IdentityLab implements AsyncDisposable {
  readonly lab: Lab;
  /** Those with an agent; the first hosts the registry. */
  readonly agents: readonly LabHost[];
  readonly members: Members;
  readonly desk: LabHost;
  readonly #clocks: readonly LabClock[];

  private constructor(
    lab: Lab,
    clocks: readonly LabClock[],
    members: Members,
  ) {
    this.lab = lab;
    this.#clocks = clocks;
    this.members = members;
    this.agents = [...members.keys()];
    this.desk = lab.hosts.at(-1)!;
  }

  /** Builds it: that many agents have joined, and have their routes. */
  static async create(agents: number): Promise<IdentityLab> {
    const lab = await Lab.create({
      ...{ hosts: agents + 1, secure: true, startAgents: false },
    });
    try {
      const clocks = await allDone(
        lab.hosts.map((host) => LabClock.giveTo(host)),
      );
      const members = new Map<LabHost, readonly string[]>();
      for (const host of lab.hosts.slice(0, agents)) {
        if (members.size > 0) await lab.admit(host);
        await host.agent.start();
        members.set(host, await host.joined());
      }
      await settled(members);
      return new IdentityLab(lab, clocks, members);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The environment of programs that go by the hosts' clocks. */
  get env(): Readonly<Record<string, string>> {
    return this.#clocks[0]!.env;
  }

  /** What the clocks show, in ms since 1970. */
  get nowMs(): number {
    return this.#clocks[0]!.nowMs;
  }

  /** Moves all clocks on. */
  async moveHours(hours: number): Promise<void> {
    await allDone(this.#clocks.map((clock) => clock.moveHours(hours)));
  }

  /** The folder of an operator's identity. */
  dirOf(name: string): string {
    return `${this.desk.dir}/${name}`;
  }

  /** Runs the command line at the desk. */
  atDesk(args: readonly string[]): Promise<RunResult> {
    return this.desk.exec("stellar-net", args, { env: this.env });
  }

  /** Runs the command line at the desk, as an operator. It has to succeed. */
  async as(name: string, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.atDesk([
      ...["--identity", this.dirOf(name), ...args],
    ]);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** Makes a token for an operator; a file for each. */
  async createToken(name: string): Promise<void> {
    await this.agents[0]!.must("stellar-net", [
      ...["token", "create", "--role", "operator", "--name", name],
      ...["--file", this.#tokenOf(name)],
    ]);
  }

  /** Makes an operator's identity with the token for it. */
  enrol(name: string): Promise<RunResult> {
    return this.atDesk([
      ...["identity", "create", this.dirOf(name), "--name", name],
      ...["--join", `https://${this.agents[0]!.address}:9000`],
      ...["--token-file", this.#tokenOf(name)],
    ]);
  }

  /**
   * Waits until agents have other certificates than before something was done.
   *
   * @returns how long that took, in ms
   */
  async renewed(
    renew: () => unknown,
    agents: readonly LabHost[] = this.agents,
  ): Promise<number> {
    const serial = async (host: LabHost) =>
      (await certificateIn(identityDir(host))).serial;
    const before = await Promise.all(agents.map(serial));
    await renew();
    const startedMs = performance.now();
    await allDone(agents.map((host, index) =>
      this.lab.waitFor(
        `${host.name} to renew`,
        async () => await serial(host) !== before[index],
        { everyMs: 50 },
      )
    ));
    return performance.now() - startedMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }

  #tokenOf(name: string): string {
    return `${this.desk.dir}/${name}.token`;
  }
}
