/** What a person wants to know once an agent serves. */
export interface GreetingOptions {
  /** How the program is called, such as `stellar-net`. */
  readonly program: string;
  readonly node: string;
  readonly socketPath: string;
  /** TCP addresses that take calls in plain text; the first is used in the example. */
  readonly plain: readonly string[];
  /** TCP addresses that it listens on. */
  readonly addresses: readonly string[];
}

/** Says where an agent serves, and what to try next. */
export function formatGreeting(options: GreetingOptions): string {
  const { program, node, socketPath, addresses, plain } = options;
  const example = { node, id: "web2" };
  const lines = [
    `Node "${node}" serves on ${[socketPath, ...addresses].join(" and ")}`,
    "Try next, in another terminal:",
    `  ${program} ip allocate web1`,
    `  ${program} status`,
    ...plain.slice(0, 1).map((address) =>
      `  curl -H 'content-type: application/json' -d '${
        JSON.stringify(example)
      }' http://${address}/stellar.services.network.v1.Network/AllocateIP`
    ),
  ];
  return `${lines.join("\n")}\n`;
}
