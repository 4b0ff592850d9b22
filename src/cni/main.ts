import {
  DEFAULT_SOCKET,
  type NetworkConfig,
  parseConfig,
  parseValidAttachments,
} from "./text/config.ts";
import {
  type Invocation,
  parseInvocation,
  parseSocketVariable,
} from "./text/environment.ts";
import { CniError, formatError } from "./text/errors.ts";
import type { JsonObject } from "../base/json_reader.ts";
import { decodeObject } from "./text/json.ts";
import { parseRequestedIps } from "./text/requested_ips.ts";
import {
  checkAddresses,
  formatResult,
  parseDns,
  parsePrevAddresses,
  parseRoutes,
} from "./text/result.ts";
import {
  formatVersions,
  LATEST_VERSION,
  parseVersion,
} from "./text/version.ts";
import { AgentSource } from "./agent_source.ts";
import type { CniIo, PluginIo } from "./io.ts";
import type { AddressSource } from "./source.ts";
import { StellarSource } from "./stellar_source.ts";

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const STDIN_TIMEOUT_MS = 10_000;
/** Some callers of VERSION, which needs no configuration, leave stdin open. */
const VERSION_STDIN_TIMEOUT_MS = 1_000;

/** A call with its configuration. */
interface Call {
  readonly invocation: Invocation;
  readonly raw: JsonObject;
  readonly config: NetworkConfig;
}

/** The output of a command, and the way to undo the command when nobody reads it. */
interface Output {
  readonly text: string;
  undo?(): Promise<void>;
}

/** The answer to a call. */
export interface CniAnswer extends Output {
  readonly exitCode: number;
}

/**
 * Answers one call of a container runtime, or of a plugin that gets its
 * addresses here. Whatever happens, stdout gets one JSON object or nothing.
 *
 * @returns the exit code
 */
export async function cniMain(io: PluginIo): Promise<number> {
  const answer = await answerCall(io);
  if (answer.text === "" || write(io, answer.text)) return answer.exitCode;
  // Nobody reads the result, so the caller knows of no address.
  await answer.undo?.();
  return 1;
}

/**
 * Carries out one call and leaves it to the caller to print the answer: one
 * JSON object or nothing. Never throws.
 */
export async function answerCall(
  io: CniIo,
): Promise<CniAnswer> {
  // An error has the version of the configuration, once that is known.
  let cniVersion: string = LATEST_VERSION;
  try {
    const invocation = parseInvocation(io.env);
    const output = invocation.verb === "VERSION"
      ? { text: formatVersions(await readAskedVersion(io)) }
      : await run(io, invocation, (version) => cniVersion = version);
    return { ...output, exitCode: 0 };
  } catch (cause) {
    const error = cause instanceof CniError
      ? cause
      : new CniError("internal", `Cannot go on: ${String(cause)}`, { cause });
    return { text: formatError(error, cniVersion), exitCode: 1 };
  }
}

async function run(
  io: CniIo,
  invocation: Invocation,
  onVersion: (version: string) => void,
): Promise<Output> {
  const raw = decodeObject(await readConfig(io), "the network configuration");
  onVersion(parseVersion(raw.cniVersion));
  const config = parseConfig(raw, invocation.verb);
  const call = { invocation, raw, config };
  switch (invocation.verb) {
    case "ADD":
      return await add(io, call);
    case "DEL":
      await createSource(io, config).release(
        ownerOf(call),
        invocation.netns,
      );
      return { text: "" };
    case "CHECK": {
      const previous = parsePrevAddresses(raw);
      const held = await createSource(io, config).held(ownerOf(call));
      checkAddresses(held, previous);
      return { text: "" };
    }
    case "GC": {
      const keep = parseValidAttachments(raw);
      if (keep) await createSource(io, config).releaseOthers(config.name, keep);
      return { text: "" };
    }
    case "STATUS":
      // STATUS refuses a configuration that ADD would refuse.
      parseRoutes(raw);
      parseDns(raw);
      await createSource(io, config).checkReady();
      return { text: "" };
    case "VERSION":
      return { text: formatVersions(raw.cniVersion) };
  }
}

async function add(io: CniIo, call: Call): Promise<Output> {
  const { invocation, raw, config } = call;
  const routes = parseRoutes(raw);
  const dns = parseDns(raw);
  const addresses = parseRequestedIps(raw, invocation.args);
  const allocation = await createSource(io, config).allocate({
    owner: ownerOf(call),
    addresses,
    netns: invocation.netns,
  });
  const undo = () => allocation.undo();
  try {
    const text = formatResult(config.cniVersion, {
      addresses: allocation.addresses,
      routes: [...routes, ...allocation.routes],
      dns,
    });
    return { text, undo };
  } catch (error) {
    await undo();
    throw error;
  }
}

function createSource(io: CniIo, { ipam }: NetworkConfig): AddressSource {
  if (ipam.kind === "stellar") return new StellarSource(io, ipam);
  const socketPath = ipam.socketPath ??
    parseSocketVariable(io.env, "STELLAR_NET_SOCKET") ?? DEFAULT_SOCKET;
  return new AgentSource(io, { ...ipam, socketPath });
}

function ownerOf({ invocation, config }: Call) {
  const { containerId, interfaceName } = invocation;
  return { network: config.name, containerId, interfaceName };
}

async function readConfig(io: CniIo): Promise<Uint8Array> {
  const refuse = (what: string, cause?: unknown) =>
    new CniError("io_failure", `Cannot read the configuration: ${what}`, {
      cause,
    });
  let content;
  try {
    content = await io.readStdin({
      maxBytes: MAX_CONFIG_BYTES,
      timeoutMs: STDIN_TIMEOUT_MS,
    });
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  switch (content.kind) {
    case "read":
      return content.bytes;
    case "too long":
      throw refuse(`it has more than ${MAX_CONFIG_BYTES} bytes`);
    case "late":
      throw refuse(`stdin was not closed within ${STDIN_TIMEOUT_MS} ms`);
  }
}

/** The `cniVersion` of the request on stdin, undefined where there is none. */
async function readAskedVersion(io: CniIo): Promise<unknown> {
  try {
    const content = await io.readStdin({
      maxBytes: MAX_CONFIG_BYTES,
      timeoutMs: VERSION_STDIN_TIMEOUT_MS,
    });
    return content.kind === "read"
      ? decodeObject(content.bytes, "the request").cniVersion
      : undefined;
  } catch {
    return undefined;
  }
}

function write(io: PluginIo, text: string): boolean {
  try {
    io.stdout(text);
    return true;
  } catch (error) {
    io.stderr(`stellar-net: Cannot write to stdout: ${String(error)}\n`);
    return false;
  }
}
