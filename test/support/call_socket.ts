import { request } from "node:http";

/** A call of the native API, and its request in JSON. */
export interface SocketCall {
  /** Such as `AgentService/GetStatus`. */
  readonly call: string;
  /** Default: an empty message. */
  readonly body?: unknown;
}

/**
 * Calls an agent at its unix socket, without a process for it.
 *
 * @throws {Error} with the answer, when its status is not 200
 */
export async function callSocket<T>(
  socketPath: string,
  { call, body = {} }: SocketCall,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request({
    socketPath,
    path: `/stellar.net.v1.${call}`,
    method: "POST",
    agent: false,
    headers: { "content-type": "application/json" },
  }, (response) => {
    const { statusCode } = response;
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => text += part)
      .on("end", () => {
        if (statusCode === 200) return resolve(text);
        reject(new Error(`Cannot call ${call}: ${statusCode} ${text}`));
      });
  }).on("error", reject).end(JSON.stringify(body));
  return JSON.parse(await promise) as T;
}
