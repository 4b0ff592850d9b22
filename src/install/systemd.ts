import { NetError } from "../base/error.ts";
import { type CommandRunner, describeFailure } from "../system/command.ts";
import type { ServiceControl } from "./port.ts";

/** This folder exists where systemd is the host's init (sd_booted(3)). */
const BOOTED_PATH = "/run/systemd/system";

/** systemd, through systemctl(1). */
export class Systemd implements ServiceControl {
  readonly #runner: CommandRunner;
  readonly #bootedPath: string;

  /** @param runner one whose timeout covers the start of a service */
  constructor(
    runner: CommandRunner,
    { bootedPath = BOOTED_PATH }: { readonly bootedPath?: string } = {},
  ) {
    this.#runner = runner;
    this.#bootedPath = bootedPath;
  }

  async isThere(): Promise<boolean> {
    const info = await Deno.lstat(this.#bootedPath).catch(() => undefined);
    return info?.isDirectory ?? false;
  }

  async stateOf(unit: string): Promise<string> {
    const words = ["show", "--property=ActiveState", "--value", unit];
    return (await this.#run(words)).trim();
  }

  async command(words: readonly string[]): Promise<void> {
    await this.#run(words);
  }

  async #run(words: readonly string[]): Promise<string> {
    const command = { program: "systemctl", args: words };
    const output = await this.#runner.run(command);
    if (output.code === 0) return output.stdout;
    throw new NetError(
      "unavailable",
      `Cannot run "systemctl ${words.join(" ")}": ${
        describeFailure(command, output)
      }; see "journalctl -u stellar-net"`,
    );
  }
}
