/** Builds the executable: `deno task build`. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { CommandRunner } from "../system/command.ts";
import { build, type BuildOptions, type BuildResult } from "./build.ts";
import { findTarget } from "./target.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url))
  .replace(/\/$/, "");
const USAGE = `Usage: deno task build [options]

  --target TRIPLE    x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu (default: this machine's)
  --kind KIND        compiled or self-extracting (default: compiled, or
                     self-extracting where no base runtime can be had)
  --runtime VERSION  the runtime of a self-extracting one (default: the one that builds)
  --runtime-digest SHA256  of a runtime from npm whose digest is not pinned
  --output FILE      default: dist/stellar-net, with the machine's name where it is another
`;

/** Long enough for downloads. */
const TIMEOUT_MS = 600_000;

/** Runs what a build runs. */
const RUNNER: CommandRunner = {
  async run({ program, args }) {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      env: { LC_ALL: "C", NO_COLOR: "1" },
      stdin: "null",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).output();
    const decoder = new TextDecoder();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  },
};

/** @throws {TypeError} or {RangeError} saying which argument is wrong */
function parse(args: readonly string[]): BuildOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      target: { type: "string", default: Deno.build.target },
      kind: { type: "string" },
      runtime: { type: "string", default: Deno.version.deno },
      "runtime-digest": { type: "string" },
      output: { type: "string" },
    },
  });
  const { kind, runtime } = values;
  const target = findTarget(values.target);
  if (kind !== undefined && kind !== "compiled" && kind !== "self-extracting") {
    throw new RangeError(
      `Cannot build the kind ${
        JSON.stringify(kind)
      }: there are compiled and self-extracting`,
    );
  }
  const suffix = target.triple === Deno.build.target
    ? ""
    : `-${target.machine}`;
  const output = values.output ?? `${ROOT}/dist/stellar-net${suffix}`;
  const runtimeDigest = values["runtime-digest"];
  return {
    ...{ root: ROOT, target, kind, runtime, output, runner: RUNNER },
    runtimeDigest,
  };
}

function describe({ info, ...result }: BuildResult, output: string): string {
  const lines = [
    ...result.whyNotCompiled === undefined ? [] : [
      `It is not compiled: there is no base runtime to be had (${result.whyNotCompiled}); DENORT_BIN names one`,
    ],
    ...result.whyNoNativePlugin === undefined ? [] : [
      `It has no native CNI plugin: ${result.whyNoNativePlugin}. Containers start slower: "cni install" installs the executable itself`,
    ],
    `Made a ${info.kind} executable: ${output}, ${
      (result.bytes / 2 ** 20).toFixed(1)
    } MiB`,
    `for ${info.target}, from commit ${info.commit ?? "unknown"}${
      info.modified ? " with changes" : ""
    }`,
    `SHA-256 ${result.digest}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

async function main(): Promise<number> {
  const encoder = new TextEncoder();
  let options: BuildOptions;
  try {
    options = parse(Deno.args);
  } catch (error) {
    const { message } = error as Error;
    Deno.stderr.writeSync(encoder.encode(`${message}\n\n${USAGE}`));
    return 2;
  }
  try {
    const result = await build(options);
    Deno.stdout.writeSync(encoder.encode(describe(result, options.output)));
    return 0;
  } catch (error) {
    const { message } = error as Error;
    Deno.stderr.writeSync(encoder.encode(`${message}\n`));
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
