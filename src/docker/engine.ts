import { request } from "node:http";
import { NetError } from "../base/error.ts";
import { type DockerNetwork, parseNetwork } from "./plan/networks.ts";
import { DRIVER } from "./plan/order.ts";
import type { DockerControl, DockerList } from "./port.ts";

/** Timeout of each answer: a busy Docker takes a while. */
const TIMEOUT_MS = 20_000;
/** Of a network with many endpoints. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** An answer of Docker. */
export interface EngineAnswer {
  readonly status: number;
  /** What its JSON says; undefined where there is none. */
  readonly value: unknown;
}

/** Docker's Engine API over its unix socket. Version 1.40 and later answer alike. */
export class DockerEngine implements DockerList, DockerControl {
  readonly socketPath: string;
  readonly #driver: string;

  /** @param driver the IPAM driver whose networks count */
  constructor(socketPath: string, driver = DRIVER) {
    this.socketPath = socketPath;
    this.#driver = driver;
  }

  networks(): Promise<readonly DockerNetwork[]> {
    return this.select(({ ipamDriver }) => ipamDriver === this.#driver);
  }

  async select(
    isWanted: (network: DockerNetwork) => boolean,
  ): Promise<readonly DockerNetwork[]> {
    const found: DockerNetwork[] = [];
    for (const listed of await this.#list()) {
      const { id } = listed;
      if (!isWanted(listed)) continue;
      const { status, value } = await this.call("GET", `/networks/${id}`);
      // It was removed meanwhile.
      if (status === 404) continue;
      found.push(parseNetwork(expect(status, value)));
    }
    return found;
  }

  async #list(): Promise<readonly DockerNetwork[]> {
    const { status, value } = await this.call("GET", "/networks");
    const list = expect(status, value);
    if (Array.isArray(list)) return list.map(parseNetwork);
    throw new NetError(
      "unavailable",
      "Cannot read the networks of Docker: the answer is not a list",
    );
  }

  async find(name: string): Promise<DockerNetwork | undefined> {
    const found = (await this.#list()).find((each) => each.name === name);
    if (!found) return undefined;
    const { status, value } = await this.call("GET", `/networks/${found.id}`);
    return status === 404 ? undefined : parseNetwork(expect(status, value));
  }

  async create(body: unknown): Promise<void> {
    const answer = await this.call("POST", "/networks/create", body);
    if (answer.status === 201) return;
    const why = refusalOf(answer);
    const isUnknown = why.includes(this.#driver) && /not found/.test(why);
    throw new NetError(
      "failed_precondition",
      `Cannot make the network in Docker: ${why}${
        isUnknown ? "; run the agent of this node with --docker" : ""
      }`,
    );
  }

  async remove(id: string): Promise<void> {
    const answer = await this.call("DELETE", `/networks/${id}`);
    if (answer.status === 204 || answer.status === 404) return;
    throw new NetError(
      "failed_precondition",
      `Cannot remove the network from Docker: ${refusalOf(answer)}`,
    );
  }

  /**
   * Calls Docker.
   *
   * @throws {NetError} `unavailable` when it does not answer
   */
  async call(
    method: "GET" | "POST" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<EngineAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<EngineAnswer>();
    const sent = request({
      ...{ socketPath: this.socketPath, method, path },
      headers: { host: "docker", "content-type": "application/json" },
      timeout: TIMEOUT_MS,
      agent: false,
    }, async (response) => {
      try {
        const chunks: Uint8Array[] = [];
        let length = 0;
        for await (const chunk of response as AsyncIterable<Uint8Array>) {
          length += chunk.length;
          if (length > MAX_ANSWER_BYTES) {
            throw new Error(`it has more than ${MAX_ANSWER_BYTES} bytes`);
          }
          chunks.push(chunk);
        }
        const text = new TextDecoder().decode(
          await new Blob(chunks as BlobPart[]).arrayBuffer(),
        );
        const value = text.trim() === "" ? undefined : JSON.parse(text);
        resolve({ status: response.statusCode ?? 0, value });
      } catch (error) {
        reject(error);
      }
    });
    sent.on("timeout", () => sent.destroy(new Error("it does not answer")));
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    try {
      return await promise;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new NetError(
        "unavailable",
        `Cannot call Docker on "${this.socketPath}": ${why}; start it, or name its socket`,
        { cause },
      );
    }
  }
}

/** The value of an answer. @throws {NetError} `unavailable` where Docker refuses */
function expect(status: number, value: unknown): unknown {
  if (status >= 200 && status < 300) return value;
  throw new NetError(
    "unavailable",
    `Cannot read the networks of Docker: ${refusalOf({ status, value })}`,
  );
}

/** The reason in a refusal of Docker. */
export function refusalOf({ status, value }: EngineAnswer): string {
  const { message } = (value ?? {}) as { readonly message?: unknown };
  return typeof message === "string" ? message : `it answers ${status}`;
}
