import assert from "node:assert/strict";
import { join } from "node:path";
import { parseEnvironment } from "../../src/install/plan/agent_env.ts";
import { ENV_PATH } from "../../src/install/plan/layout.ts";
import { ROOT } from "../generate.ts";
import { Installation } from "../support/installation.ts";
import type { RunResult } from "../support/run.ts";
import type { LabHost } from "./lab_host.ts";

/** What a line prints goes to another host: `COMMAND | ssh HOST 'COMMAND'`. */
const SENT = /^(.+) \| ssh (\S+) '(.+)'$/;

/** A line of a procedure. */
export interface Step {
  /** Where it is run: `host1`, or `each other host`. */
  readonly where: string;
  readonly line: string;
}

/**
 * Reads what a section of a page tells to type: the blocks of `sh` below a
 * heading. A line such as `# on host1` says where what follows is typed.
 *
 * @param page path from the root of the project
 */
export async function readProcedure(
  page: string,
  heading: string,
): Promise<Step[]> {
  const text = await Deno.readTextFile(join(ROOT, page));
  const start = new RegExp(`^##+ ${heading}$`, "m").exec(text);
  assert.ok(start, `${page} has no heading "${heading}"`);
  // A single `#` is a comment of a block.
  const [section] = text.slice(start.index + start[0].length).split(/^##+ /m);
  const steps: Step[] = [];
  for (const [, block] of section!.matchAll(/^```sh\n(.*?)^```$/gms)) {
    let where: string | undefined;
    for (const line of block!.trim().split("\n")) {
      const place = /^# on (.+)$/.exec(line)?.[1];
      where = place ?? where;
      assert.ok(where, `"${heading}" does not say where to type "${line}"`);
      if (!line.startsWith("#")) steps.push({ where, line });
    }
  }
  assert.ok(steps.length > 0, `"${heading}" tells nothing to type`);
  return steps;
}

/** The same for another host: with its name, and its address. */
export function asFor(
  steps: readonly Step[],
  [one, another]: readonly [LabHost, LabHost],
): Step[] {
  const replaced = (text: string) =>
    text.replaceAll(one.name, another.name)
      .replaceAll(one.address, another.address);
  return steps.map(({ where, line }) => ({
    where: replaced(where),
    line: replaced(line),
  }));
}

/**
 * Follows procedures on the hosts of a lab. What is installed goes into an
 * image of each host; there is no systemd, so that `systemctl` starts and stops
 * the host's agent with what is configured there.
 */
export class ProcedureRunner {
  readonly #hosts: ReadonlyMap<string, LabHost>;
  readonly #images = new Map<LabHost, Installation>();

  constructor(hosts: readonly LabHost[]) {
    this.#hosts = new Map(hosts.map((host) => [host.name, host]));
    for (const host of hosts) {
      this.#images.set(host, new Installation(host.dir));
    }
  }

  /**
   * Types a procedure, line by line.
   *
   * @param each the hosts that take part, the one of the registry first
   * @returns what was printed
   * @throws {Error} when a line fails
   */
  async follow(
    steps: readonly Step[],
    each: readonly LabHost[] = [],
  ): Promise<string> {
    let printed = "";
    for (const { where, line } of steps) {
      for (const host of this.#at(where, each)) {
        const sent = SENT.exec(line);
        const { code, stdout, stderr } = sent
          ? await this.#send(host, sent, each)
          : await this.type(host, line);
        const said = `${host.name}: ${line}\n${stdout}${stderr}`;
        assert.equal(code, 0, said);
        printed += said;
      }
    }
    return printed;
  }

  /** Types a line on a host. */
  async type(host: LabHost, line: string): Promise<RunResult> {
    const image = this.#images.get(host)!;
    const [program, verb, ...flags] = line.replace(/ +#.*$/, "").split(" ");
    const { agent } = host;
    const done = { code: 0, stdout: "", stderr: "" };
    if (program === "systemctl") {
      assert.equal(flags.join(" "), "stellar-net", line);
      await agent.stop();
      if (verb !== "stop") await this.#start(host);
      return done;
    }
    if (/^(\.\/)?stellar-net$/.test(program!) && verb === "install") {
      const made = await image.install({ version: "v1", flags });
      await agent.stop();
      await this.#start(host);
      return made;
    }
    if (program === "stellar-net" && verb === "uninstall") {
      return await this.#uninstall(host, flags);
    }
    return await this.#shell(host, line);
  }

  /** What a line prints, sent to other hosts and taken in there by another. */
  async #send(
    host: LabHost,
    [, line, to, taken]: RegExpExecArray,
    each: readonly LabHost[],
  ): Promise<RunResult> {
    const printed = await this.type(host, line!);
    if (printed.code !== 0) return printed;
    let done = printed;
    for (const other of this.#at(to!.replaceAll("-", " "), each)) {
      done = await this.#shell(other, taken!, printed.stdout);
      if (done.code !== 0) break;
    }
    return { ...done, stderr: printed.stderr + done.stderr };
  }

  /** Runs a line in a shell, with the paths of an image. */
  #shell(host: LabHost, line: string, stdin = ""): Promise<RunResult> {
    const { agent: { stateDir } } = host;
    const image = this.#images.get(host)!;
    // Before the installation the program is in the working folder.
    const words = line.replace(/^\.\/(?=stellar-net )/, "")
      .replaceAll("/var/lib/stellar-net", stateDir)
      .replaceAll("/var/backups", join(host.dir, "backups"))
      .replaceAll("/root/", join(host.dir, "root/"))
      .replaceAll("/etc/stellar-net", image.at("/etc/stellar-net"));
    return host.exec("sh", ["-ec", words], {
      env: { STELLAR_NET_STATE: stateDir },
      stdin,
    });
  }

  /** Starts the agent as it is configured. */
  async #start(host: LabHost): Promise<void> {
    const { agent } = host;
    const image = this.#images.get(host)!;
    const env = parseEnvironment(await Deno.readTextFile(image.at(ENV_PATH)));
    agent.flags = ["--node", env.get("STELLAR_NET_NODE") ?? host.name];
    agent.env = Object.fromEntries(
      [...env].map(([name, value]) => [
        name,
        value.replaceAll("/etc/stellar-net", image.at("/etc/stellar-net")),
      ]),
    );
    await agent.start();
  }

  /** What is of the host's network is taken down there, and files in its image. */
  async #uninstall(
    host: LabHost,
    flags: readonly string[],
  ): Promise<RunResult> {
    await host.agent.stop();
    if (flags.includes("--purge")) {
      await Deno.remove(host.agent.stateDir, { recursive: true });
    }
    const files = flags.filter((flag) => flag !== "--take-down");
    const removed = await this.#images.get(host)!.run(["uninstall", ...files]);
    if (!flags.includes("--take-down")) return removed;
    const args = ["uninstall", "--take-down"];
    return await host.exec("stellar-net", args);
  }

  #at(where: string, each: readonly LabHost[]): readonly LabHost[] {
    const [first, ...others] = each;
    switch (where) {
      case "each host, host1 last":
        return [...others, first!];
      case "each other host":
        return others;
      default: {
        const host = this.#hosts.get(where);
        assert.ok(host, `"${where}" is no host of this lab`);
        return [host];
      }
    }
  }
}
