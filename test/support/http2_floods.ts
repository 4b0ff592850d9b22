import { END_HEADERS, frame, hpack } from "./raw_client.ts";
import { STUB_PATH } from "./stub_network.ts";

const SETTINGS = frame("settings");

/** What floods a connection: what is sent first, and what again and again. */
export const FLOODS: Readonly<Record<string, (n: number) => Uint8Array>> = {
  "rapid reset": (n) =>
    concat([
      callHeaders(2 * n + 1),
      frame("rst_stream", {
        stream: 2 * n + 1,
        payload: Uint8Array.of(0, 0, 0, 8),
      }),
    ]),
  "settings": () => SETTINGS,
  "pings": () => frame("ping", { payload: new Uint8Array(8) }),
  "window updates": () =>
    frame("window_update", { payload: Uint8Array.of(0, 0, 0, 1) }),
  "priorities": (n) =>
    frame("priority", { stream: 2 * n + 1, payload: new Uint8Array(5) }),
  "empty data": (n) => n === 0 ? callHeaders(1) : frame("data", { stream: 1 }),
  "continuations": (n) =>
    n === 0
      ? frame("headers", { stream: 1, payload: hpack({ ":method": "POST" }) })
      : frame("continuation", {
        stream: 1,
        payload: hpack({ [`x${n}`]: "y".repeat(100) }),
      }),
  "empty continuations": (n) =>
    n === 0
      ? frame("headers", { stream: 1, payload: hpack({ ":method": "POST" }) })
      : frame("continuation", { stream: 1 }),
  "streams without end": (n) => callHeaders(2 * n + 1),
  "acknowledged settings": () => frame("settings", { flags: 1 }),
  "acknowledged pings": () =>
    frame("ping", { flags: 1, payload: new Uint8Array(8) }),
  "resets of nothing": (n) =>
    frame("rst_stream", { stream: 2 * n + 1, payload: new Uint8Array(4) }),
};

/** The HEADERS frame of a gRPC call that goes on. */
export function callHeaders(stream: number): Uint8Array {
  return frame("headers", {
    stream,
    flags: END_HEADERS,
    payload: hpack({
      ":method": "POST",
      ":scheme": "http",
      ":authority": "localhost",
      ":path": `${STUB_PATH}/Info`,
      "content-type": "application/grpc",
    }),
  });
}

/** All bytes of some, in their order. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
