import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32, deflateSync, inflateSync } from "node:zlib";
import { shrinkPng } from "./small_png.ts";

type Colour = readonly [red: number, green: number, blue: number];

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** A picture whose lines have the given filters, all of them undone to the same pixels. */
function createPng(
  lines: readonly (readonly Colour[])[],
  filters: readonly number[],
): Buffer {
  const raw = lines.map((line) => line.flat());
  const filtered = raw.map((line, y) => {
    const filter = filters[y]!;
    return [
      filter,
      ...line.map((value, x) => {
        const left = x >= 3 ? line[x - 3]! : 0;
        const up = y > 0 ? raw[y - 1]![x]! : 0;
        const corner = x >= 3 && y > 0 ? raw[y - 1]![x - 3]! : 0;
        const estimate = left + up - corner;
        const order = [left, up, corner].sort((a, b) =>
          Math.abs(estimate - a) - Math.abs(estimate - b)
        );
        const predicted = [0, left, up, (left + up) >> 1, order[0]!][filter]!;
        return (value - predicted) & 255;
      }),
    ];
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(lines[0]!.length, 0);
  header.writeUInt32BE(lines.length, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.from(filtered.flat()))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The colours of a picture with a palette. */
function readPixels(png: Uint8Array): Colour[][] {
  const bytes = Buffer.from(png);
  const find = (type: string) => {
    const at = bytes.indexOf(type);
    const length = bytes.readUInt32BE(at - 4);
    return bytes.subarray(at + 4, at + 4 + length);
  };
  const [width, height] = [0, 4].map((at) => find("IHDR").readUInt32BE(at));
  const palette = find("PLTE");
  const lines = inflateSync(find("IDAT"));
  return Array.from(
    { length: height! },
    (_, y) =>
      Array.from({ length: width! }, (_, x): Colour => {
        const at = lines[y * (width! + 1) + 1 + x]! * 3;
        return [palette[at]!, palette[at + 1]!, palette[at + 2]!];
      }),
  );
}

Deno.test("shrinkPng() keeps the pixels, whatever the filters of the lines", () => {
  const lines = Array.from(
    { length: 5 },
    (_, y) =>
      Array.from({ length: 7 }, (_, x): Colour => [x * 30, y * 50, 7 * x * y]),
  );
  assert.deepEqual(
    readPixels(shrinkPng(createPng(lines, [0, 1, 2, 3, 4]))),
    lines,
  );
});

Deno.test("shrinkPng() gives rare colours beyond 256 the nearest one", () => {
  const common = Array.from({ length: 256 }, (_, i): Colour => [i, 0, 0]);
  const lines = [common, common, [...common.slice(1), [9, 1, 0] as const]];
  const shrunk = readPixels(shrinkPng(createPng(lines, [0, 0, 0])));
  assert.deepEqual(shrunk[2]!.at(-1), [9, 0, 0]);
});
