import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** Where a client connects to: a TCP address or the path of a socket. */
export type RawTarget =
  | { readonly hostname: string; readonly port: number }
  | string;

/** A client that sends bytes as they are. */
export interface RawClient {
  readonly socket: Socket;
  /** All that came so far, as Latin-1. */
  readonly received: () => string;
  /** Sends bytes, or text as Latin-1. */
  send(data: string | Uint8Array): void;
  /** Resolves when what came matches. Rejects when the connection ends before. */
  until(pattern: RegExp): Promise<void>;
  /** Resolves when such an HTTP/2 frame came. Rejects when the connection ends before. */
  untilFrame(wanted: Partial<Frame>): Promise<void>;
  /** Resolves when the connection has ended, with all that came. */
  readonly closed: Promise<string>;
}

/** Connects. Errors of the connection count as its end. */
export async function connectRaw(target: RawTarget): Promise<RawClient> {
  const socket = typeof target === "string"
    ? connect(target)
    : connect(target.port, target.hostname);
  let received = "";
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => received += text);
  await once(socket, "connect");
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => {
    socket.on("close", () => resolve(received));
  });
  return {
    socket,
    closed,
    received: () => received,
    send(data) {
      if (typeof data === "string") socket.write(data, "latin1");
      else socket.write(data);
    },
    until: (pattern) =>
      waitFor(() => pattern.test(received), `what matches ${pattern}`),
    untilFrame: (wanted) =>
      waitFor(
        () => parseFrames(received).some((frame) => isLike(frame, wanted)),
        `a frame with ${JSON.stringify(wanted)}`,
      ),
  };

  async function waitFor(test: () => boolean, what: string): Promise<void> {
    while (!test()) {
      const more = new Promise<boolean>((resolve) => {
        socket.once("data", () => resolve(true));
      });
      const ended = closed.then(() => false);
      if (!await Promise.race([more, ended])) {
        const all = JSON.stringify(received);
        throw new Error(`The connection ended before ${what} came: ${all}`);
      }
    }
  }
}

/** What the head of an HTTP/2 frame says. */
export interface Frame {
  readonly type: FrameType;
  readonly flags: number;
  readonly stream: number;
}

const FRAME_TYPES = [
  "data",
  "headers",
  "priority",
  "rst_stream",
  "settings",
  "push_promise",
  "ping",
  "goaway",
  "window_update",
  "continuation",
] as const;

/** The types of frames (RFC 9113 section 6). */
export type FrameType = typeof FRAME_TYPES[number];

/** The heads of the whole frames in a text of Latin-1. */
export function parseFrames(text: string): Frame[] {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = view.getUint32(at) >>> 8;
    if (at + 9 + length > bytes.length) break;
    frames.push({
      type: FRAME_TYPES[view.getUint8(at + 3)]!,
      flags: view.getUint8(at + 4),
      stream: view.getUint32(at + 5),
    });
    at += 9 + length;
  }
  return frames;
}

function isLike(frame: Frame, wanted: Partial<Frame>): boolean {
  const { type = frame.type, flags = frame.flags, stream = frame.stream } =
    wanted;
  return frame.type === type && frame.flags === flags &&
    frame.stream === stream;
}

/** The client's HTTP/2 connection preface, without the SETTINGS frame that follows. */
export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Makes an HTTP/2 frame (RFC 9113 section 4.1). */
export function frame(
  type: FrameType,
  { flags = 0, stream = 0, payload = new Uint8Array() }: {
    readonly flags?: number;
    readonly stream?: number;
    readonly payload?: Uint8Array;
  } = {},
): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length << 8 | FRAME_TYPES.indexOf(type));
  view.setUint8(4, flags);
  view.setUint32(5, stream);
  bytes.set(payload, 9);
  return bytes;
}

/** Flags of frames: ACK of SETTINGS, the others of HEADERS and DATA. */
export const ACK = 1;
export const END_STREAM = 1;
export const END_HEADERS = 4;

/** Encodes header fields as HPACK literals (RFC 7541 section 6.2.2), each under 127 bytes. */
export function hpack(fields: Readonly<Record<string, string>>): Uint8Array {
  const text = Object.entries(fields).map(([name, value]) =>
    "\0" + String.fromCharCode(name.length) + name +
    String.fromCharCode(value.length) + value
  ).join("");
  return new TextEncoder().encode(text);
}
