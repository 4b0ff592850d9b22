import assert from "node:assert/strict";
import type {
  Command,
  CommandFollower,
  CommandOutput,
  CommandRunner,
} from "../../src/system/command.ts";
import {
  DenoCommandFollower,
  DenoCommandRunner,
} from "../../src/system/deno_command.ts";

/** Answers each connection with the address that it comes from. */
const SOURCE_SERVER = `
import socket
server = socket.create_server(("::", 7), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, address = server.accept()
    connection.sendall(address[0].removeprefix("::ffff:").encode())
    connection.close()
`;

/** Prints what the server answers, or "nothing". */
const SOURCE_CLIENT = `
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 7), timeout=float(sys.argv[2])) as s:
        print(s.recv(100).decode())
except OSError:
    print("nothing")
`;

/** How long a packet that is not dropped may take there and back, in seconds. */
const ANSWER_S = "3";
/** How long to wait for what should be dropped, in seconds. */
const DROP_S = "0.2";

/** A network namespace with a name, which lives until it is disposed of. */
export class NetnsHost implements AsyncDisposable {
  /** Runs programs of the host in the namespace. */
  readonly runner: CommandRunner = { run: (command) => this.#run(command) };
  /** Follows programs of the host in the namespace. */
  readonly follower: CommandFollower = {
    follow: (command, options) =>
      new DenoCommandFollower().follow(this.#within(command), options),
  };
  readonly #runner = new DenoCommandRunner();
  readonly #children: Deno.ChildProcess[] = [];

  private constructor(readonly name: string) {}

  /** Makes one, with its loopback interface up, and runs commands in it. */
  static async create(...lines: string[]): Promise<NetnsHost> {
    const host = new NetnsHost(`sn-test-${crypto.randomUUID()}`);
    await must(host.#runner, {
      program: "ip",
      args: ["netns", "add", host.name],
    });
    await host.sh("ip link set lo up", ...lines);
    return host;
  }

  /** Runs lines of shell in the namespace, which must succeed, and returns what they print. */
  async sh(...lines: string[]): Promise<string> {
    const args = ["-ec", lines.join("\n")];
    return (await must(this.runner, { program: "sh", args })).stdout;
  }

  /** Starts a program that runs as long as the namespace is there. */
  spawn(program: string, ...args: string[]): Deno.ChildProcess {
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", this.name, program, ...args],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#children.push(child);
    return child;
  }

  /** Starts a server that tells its clients their addresses. */
  async serveSource(): Promise<void> {
    const { stdout } = this.spawn("python3", "-c", SOURCE_SERVER);
    const reader = stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    assert.match(new TextDecoder().decode(value), /^ready/);
  }

  /** The address from which the server at an address sees this host; "nothing" when it does not answer. */
  async sourceAt(address: string): Promise<string> {
    return await this.#ask(address, ANSWER_S);
  }

  /** As {@linkcode sourceAt}, where no answer is expected. */
  async hasNoAnswerFrom(address: string): Promise<boolean> {
    return await this.#ask(address, DROP_S) === "nothing";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      await child.stdout.cancel();
      child.kill("SIGKILL");
      await child.status;
    }
    await must(this.#runner, {
      program: "ip",
      args: ["netns", "delete", this.name],
    });
  }

  async #ask(address: string, timeoutS: string): Promise<string> {
    const args = ["-c", SOURCE_CLIENT, address, timeoutS];
    const { stdout } = await must(this.runner, { program: "python3", args });
    return stdout.trim();
  }

  #run(command: Command): Promise<CommandOutput> {
    return this.#runner.run(this.#within(command));
  }

  #within({ program, args, stdin }: Command): Command {
    return {
      program: "ip",
      args: ["netns", "exec", this.name, program, ...args],
      ...(stdin !== undefined && { stdin }),
    };
  }
}

/**
 * Gives a host an uplink `up0` with 198.18.0.2, and a way out to another host,
 * which has addresses outside of the cluster's networks (198.18.0.1) and inside
 * (172.16.4.2), and routes to the host's subnets. IPv6 likewise.
 */
export async function connectOutside(
  host: NetnsHost,
  outside: NetnsHost,
): Promise<void> {
  await host.sh(
    `ip link add up0 type veth peer name eth0 netns ${outside.name}`,
    "ip address add 198.18.0.2/24 dev up0",
    "ip address add 2001:db8:18::2/64 dev up0 nodad",
    "ip link set up0 up",
    "ip route add default via 198.18.0.1",
    "ip route add default via 2001:db8:18::1",
  );
  await outside.sh(
    "ip address add 198.18.0.1/24 dev eth0",
    "ip address add 2001:db8:18::1/64 dev eth0 nodad",
    "ip link set eth0 up",
    "ip address add 172.16.4.2/32 dev lo",
    "ip address add fd00:16:0:1::2/128 dev lo",
    "ip route add 172.16.0.0/22 via 198.18.0.2",
    "ip route add fd00:16::/64 via 2001:db8:18::2",
  );
}

/** Puts a container on a host's bridge, with the last part of its addresses: 172.16.0.2 and fd00:16::2. */
export async function attachContainer(
  host: NetnsHost,
  container: NetnsHost,
  bridge: string,
  last = 2,
): Promise<void> {
  const veth = `veth${last - 2}`;
  await host.sh(
    `ip link add ${veth} type veth peer name eth0 netns ${container.name}`,
    `ip link set ${veth} master ${bridge} up`,
  );
  await container.sh(
    `ip address add 172.16.0.${last}/22 dev eth0`,
    `ip address add fd00:16::${last}/64 dev eth0 nodad`,
    "ip link set eth0 up",
    "ip route add default via 172.16.0.1",
    "ip route add default via fd00:16::1",
  );
}

async function must(
  runner: CommandRunner,
  command: Command,
): Promise<CommandOutput> {
  const output = await runner.run(command);
  const { code, stdout, stderr } = output;
  assert.equal(code, 0, `${command.args.join(" ")}: ${stdout}${stderr}`);
  return output;
}
