import { Buffer } from "node:buffer";
import { crc32, deflateSync, inflateSync } from "node:zlib";

/** The most colours of a palette (PNG specification, section 11.2.2). */
const MAX_COLOURS = 256;
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Colour types of the header: red, green and blue, with or without alpha; a palette. */
const CHANNELS: Readonly<Record<number, number>> = { 2: 3, 6: 4 };
const PALETTE = 3;

/**
 * Makes a picture of a page smaller: with a palette of its most frequent
 * colours, in place of colours for each pixel. Others become the nearest one.
 *
 * @param png 8 bits a channel, not interlaced, opaque: as browsers make it
 */
export function shrinkPng(png: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunks = readChunks(Buffer.from(png));
  const header = chunks.find(({ type }) => type === "IHDR")!.data;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const channels = CHANNELS[header[9]!];
  if (channels === undefined || header[8] !== 8 || header[12] !== 0) {
    throw new Error("Cannot shrink the picture: it has no 8-bit colours");
  }
  const data = inflateSync(
    Buffer.concat(
      chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data),
    ),
  );
  const colours = unfilter(data, { stride: width * channels, channels });
  const { palette, indexes } = quantise(colours, channels);
  const lines = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++) {
    // The first byte of a line says that it has no filter.
    lines.set(
      indexes.subarray(y * width, (y + 1) * width),
      y * (width + 1) + 1,
    );
  }
  const newHeader = Buffer.from(header);
  newHeader[9] = PALETTE;
  return new Uint8Array(Buffer.concat([
    SIGNATURE,
    chunk("IHDR", newHeader),
    chunk("PLTE", palette),
    chunk("IDAT", deflateSync(lines, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]));
}

function readChunks(
  png: Buffer,
): { readonly type: string; readonly data: Buffer }[] {
  const chunks = [];
  for (let at = SIGNATURE.length; at < png.length;) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    chunks.push({ type, data: png.subarray(at + 8, at + 8 + length) });
    at += length + 12;
  }
  return chunks;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** Undoes the filters of lines (PNG specification, section 9.2). */
function unfilter(
  data: Buffer,
  { stride, channels }: { readonly stride: number; readonly channels: number },
): Buffer {
  const lines = data.length / (stride + 1);
  const out = Buffer.alloc(lines * stride);
  for (let y = 0; y < lines; y++) {
    const filter = data[y * (stride + 1)]!;
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= channels ? out[at - channels]! : 0;
      const up = y > 0 ? out[at - stride]! : 0;
      const corner = x >= channels && y > 0 ? out[at - stride - channels]! : 0;
      const predicted = [
        0,
        left,
        up,
        (left + up) >> 1,
        paeth(left, up, corner),
      ][filter]!;
      out[at] = data[y * (stride + 1) + 1 + x]! + predicted;
    }
  }
  return out;
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [toLeft, toUp, toCorner] = [left, up, corner]
    .map((value) => Math.abs(estimate - value)) as [number, number, number];
  return toLeft <= toUp && toLeft <= toCorner
    ? left
    : toUp <= toCorner
    ? up
    : corner;
}

function quantise(
  colours: Buffer,
  channels: number,
): { readonly palette: Buffer; readonly indexes: Uint8Array } {
  const pixels = colours.length / channels;
  const keyOf = (pixel: number) => colours.readUIntBE(pixel * channels, 3);
  const counts = new Map<number, number>();
  for (let i = 0; i < pixels; i++) {
    const key = keyOf(i);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const kept = [...counts].sort(([, a], [, b]) => b - a)
    .slice(0, MAX_COLOURS).map(([key]) => key);
  const indexOf = new Map(kept.map((key, i) => [key, i]));
  for (const key of counts.keys()) {
    if (!indexOf.has(key)) indexOf.set(key, nearest(key, kept));
  }
  const palette = Buffer.alloc(kept.length * 3);
  kept.forEach((key, i) => palette.writeUIntBE(key, i * 3, 3));
  const indexes = new Uint8Array(pixels);
  for (let i = 0; i < pixels; i++) indexes[i] = indexOf.get(keyOf(i))!;
  return { palette, indexes };
}

function nearest(key: number, kept: readonly number[]): number {
  let [best, least] = [0, Infinity];
  for (const [i, other] of kept.entries()) {
    const distance = [16, 8, 0].reduce(
      (sum, shift) =>
        sum + (((key >> shift) & 255) - ((other >> shift) & 255)) ** 2,
      0,
    );
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}
