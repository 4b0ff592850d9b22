import { NetError } from "../../src/base/error.ts";
import type { Family } from "../../src/net/address.ts";
import { parseInterfaceAddress } from "../../src/net/prefix.ts";
import type {
  Command,
  CommandFollower,
  CommandOutput,
  CommandRunner,
  FollowOptions,
} from "../../src/system/command.ts";
import { parseRouteChange, parseRouteMatch } from "./fake_ip_words.ts";
import { addressesJson, routesJson, shownRoutesJson } from "./fake_ip_json.ts";
import { FakeKernel } from "./fake_kernel.ts";
import { KernelRefusal } from "./fake_route_table.ts";

const MONITOR = "-o -N monitor label route link address netconf";

/**
 * An `ip` that carries commands out on a model of the kernel. It knows the
 * commands that the agent and the tests use, in the words that they use, and
 * fails a test that uses another.
 */
export class FakeIp implements CommandRunner, CommandFollower {
  readonly kernel = new FakeKernel();
  /** Every command that was run, a line of a batch each. */
  readonly log: string[] = [];
  /** What every change is refused with; empty for none. */
  refuseAll = "";
  /** Whether there is no `ip` at all. */
  isMissing = false;
  readonly #listeners = new Set<(text: string) => void>();

  constructor() {
    this.kernel.onEvent = (text) => {
      for (const listener of this.#listeners) listener(text);
    };
  }

  // Answers come later, as those of a process do.
  async run({ program, args, stdin }: Command): Promise<CommandOutput> {
    await Promise.resolve();
    if (program !== "ip") throw new Error(`There is no ${program} here`);
    if (this.isMissing) {
      throw new NetError("unavailable", 'Cannot run "ip": it is not installed');
    }
    const text = args.join(" ");
    if (text === "-force -batch -") return this.#runBatch(stdin ?? "");
    const batch = /^(-6 )?-N -json -batch -$/.exec(text);
    if (batch) return this.#showBatch(stdin ?? "", batch[1] ? 6 : 4);
    try {
      this.#execute(text);
      return { code: 0, stdout: "", stderr: "" };
    } catch (error) {
      if (!(error instanceof KernelRefusal)) throw error;
      return { code: 2, stdout: "", stderr: `${error.message}\n` };
    }
  }

  async *follow(
    { args }: Omit<Command, "stdin">,
    { signal }: FollowOptions,
  ): AsyncGenerator<string> {
    const text = args.join(" ");
    if (text !== MONITOR) throw unknown(text);
    const said: string[] = [];
    let wake = Promise.withResolvers<void>();
    const listener = (text: string) => {
      said.push(text);
      wake.resolve();
    };
    const end = () => wake.resolve();
    this.#listeners.add(listener);
    signal.addEventListener("abort", end);
    try {
      while (!signal.aborted && !this.isMissing) {
        yield* said.splice(0);
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    } finally {
      signal.removeEventListener("abort", end);
      this.#listeners.delete(listener);
    }
  }

  #runBatch(stdin: string): CommandOutput {
    const stderr: string[] = [];
    for (const [index, line] of stdin.trimEnd().split("\n").entries()) {
      try {
        this.#execute(line);
      } catch (error) {
        if (!(error instanceof KernelRefusal)) throw error;
        stderr.push(error.message, `Command failed -:${index + 1}`);
      }
    }
    return {
      code: stderr.length === 0 ? 0 : 1,
      stdout: "",
      stderr: stderr.map((text) => `${text}\n`).join(""),
    };
  }

  #showBatch(stdin: string, family: Family): CommandOutput {
    const lines = stdin.trimEnd().split("\n").map((line) => {
      this.log.push(line);
      if (line === "address show") return addressesJson(this.kernel);
      if (line === "route show table all") return routesJson(this.kernel);
      const words = /^route show (.+)$/.exec(line)?.[1]?.split(" ");
      if (words) return shownRoutesJson(this.kernel, family, words);
      throw unknown(line);
    });
    return { code: 0, stdout: `${lines.join("\n")}\n`, stderr: "" };
  }

  /** Carries a command out. */
  #execute(text: string): void {
    this.log.push(text);
    if (this.refuseAll !== "") throw new KernelRefusal(this.refuseAll);
    this.#change(text);
  }

  #change(text: string): void {
    const { kernel } = this;
    const [object, verb, ...words] = text.replace(/^-[46] /, "").split(" ");
    switch (`${object} ${verb}`) {
      case "route add":
      case "route append":
      case "route replace":
        return kernel.addRoute(
          parseRouteChange(words),
          verb as "add" | "append" | "replace",
        );
      case "route del":
        return kernel.deleteRoute(parseRouteMatch(words));
    }
    const rules: readonly [RegExp, (words: readonly string[]) => void][] = [
      [
        /^-([46]) route flush proto (\d+)$/,
        ([family, protocol]) =>
          kernel.flushRoutes(Number(family) as Family, Number(protocol)),
      ],
      [
        /^link add (\S+) type veth peer name (\S+)$/,
        ([name, peer]) => kernel.addLink(name!, peer!),
      ],
      [
        /^link set (\S+) (up|down)$/,
        ([name, state]) => kernel.setLink(name!, state === "up"),
      ],
      // There are no link-local addresses here.
      [/^link set (\S+) addrgenmode none$/, () => {}],
      [
        /^address (add|del) (\S+) dev (\S+)(?: nodad)?$/,
        ([verb, address, name]) => {
          const held = parseInterfaceAddress(address!);
          if (verb === "add") kernel.addAddress(name!, held);
          else kernel.removeAddress(name!, held);
        },
      ],
    ];
    for (const [pattern, carryOut] of rules) {
      const match = pattern.exec(text);
      if (match) return carryOut(match.slice(1));
    }
    throw unknown(text);
  }
}

function unknown(text: string): Error {
  return new Error(`The fake ip does not know: ip ${text}`);
}
