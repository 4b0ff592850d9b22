import {
  create,
  type DescMessage,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { quote } from "../../net/address.ts";
import { invalidField, parseOptional } from "./fields.ts";

/** Limit on the items of a page. */
const MAX_PAGE = 1_000;
/** Bytes of the items of an answer: gRPC clients accept messages of up to 4 MiB. */
export const MAX_PAGE_BYTES = 3.5 * 1024 * 1024;

/** The part of a request that names a page. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** The messages of items. */
export interface PageOf<T, S extends DescMessage> {
  readonly schema: S;
  readonly message: (item: T) => MessageInitShape<S>;
}

/** The messages of the first items: as many as fit into an answer, and at least one. */
export function fill<T, S extends DescMessage>(
  items: readonly T[],
  { schema, message }: PageOf<T, S>,
  maxBytes = MAX_PAGE_BYTES,
): MessageInitShape<S>[] {
  const page: MessageInitShape<S>[] = [];
  let bytes = 0;
  for (const item of items) {
    const next = message(item);
    // Tag and length take up to six bytes.
    bytes += toBinary(schema, create(schema, next)).length + 6;
    if (bytes > maxBytes && page.length > 0) break;
    page.push(next);
  }
  return page;
}

/** A page of a list. */
export interface Page<M> {
  readonly page: M[];
  readonly nextPageToken: string;
  readonly totalSize: number;
}

/**
 * A page of a list that is in memory. Its token names the last item of the page
 * before, so that items which come and go meanwhile neither hide nor repeat others.
 *
 * @param list `keyOf`: names an item. `behind`: for a key, whether an item comes
 * after the one that has or had it; a RangeError means that it is no key. Where a
 * list has no such order, the token counts items too, in case that item is gone.
 */
export function cutPage<T, S extends DescMessage>(
  items: readonly T[],
  request: PageRequest,
  list: PageOf<T, S> & {
    readonly keyOf: (item: T) => string;
    readonly behind?: (key: string) => (item: T) => boolean;
    readonly maxBytes?: number;
    /** Items of a page whose size the request leaves open. Default: 1,000. */
    readonly maxItems?: number;
  },
): Page<MessageInitShape<S>> {
  const { keyOf, behind, maxItems = MAX_PAGE } = list;
  const size = parsePageSize(request.pageSize || maxItems, maxItems);
  const start = parseOptional("page_token", request.pageToken, (token) => {
    const text = decodeToken(token);
    if (behind) {
      const next = items.findIndex(behind(text));
      return next === -1 ? items.length : next;
    }
    const { count, key } = parseCount(text);
    const last = items.findIndex((item) => keyOf(item) === key);
    return last === -1 ? count : last + 1;
  }) ?? 0;
  const page = fill(items.slice(start, start + size), list, list.maxBytes);
  const end = start + page.length;
  const last = items[end - 1];
  return {
    page,
    nextPageToken: last === undefined || end >= items.length
      ? ""
      : btoa(behind ? keyOf(last) : `${end} ${keyOf(last)}`),
    totalSize: items.length,
  };
}

function parseCount(text: string): { count: number; key: string } {
  const match = /^(\d{1,9}) (.*)$/.exec(text);
  if (!match) throw new RangeError(`${quote(text)} is not a token of a page`);
  return { count: Number(match[1]), key: match[2]! };
}

/** Parses the size of a page: 0 and more than the limit mean the limit, 1,000. */
export function parsePageSize(value: number, most = MAX_PAGE): number {
  if (value < 0) throw invalidField("page_size", `${value} is negative`);
  return value === 0 ? most : Math.min(value, most);
}

/** A page of records in order of time, the latest first. */
export interface TimePage {
  /** Records at or before this time, in ms since 1970. */
  readonly untilMs: number | undefined;
  /** Records that earlier pages had of those. */
  readonly skip: number;
  readonly size: number;
  /** Records to read: one more than the page has. */
  readonly limit: number;
}

/** Parses which page of records is asked for. */
export function parseTimePage(
  request: {
    readonly pageSize: number;
    readonly until?: Timestamp | undefined;
    readonly pageToken: string;
  },
): TimePage {
  const size = parsePageSize(request.pageSize);
  const token = parseOptional("page_token", request.pageToken, parseTimeToken);
  const { untilMs, skip } = token ?? {
    untilMs: request.until && timestampMs(request.until),
    skip: 0,
  };
  return { untilMs, skip, size, limit: skip + size + 1 };
}

/**
 * The messages of a page of records, as many as fit, and the token of the next
 * page; empty when it is the last.
 */
export function cutTimePage<T, S extends DescMessage>(
  records: readonly T[],
  { skip, size }: TimePage,
  options: PageOf<T, S> & { readonly timeOf: (record: T) => number },
): {
  readonly page: readonly MessageInitShape<S>[];
  readonly nextPageToken: string;
} {
  const page = fill(records.slice(skip, skip + size), options);
  const end = skip + page.length;
  const last = records[end - 1];
  if (last === undefined || page.length === 0 || records.length <= end) {
    return { page, nextPageToken: "" };
  }
  const { timeOf } = options;
  const untilMs = timeOf(last);
  const had = records.slice(0, end)
    .filter((record) => timeOf(record) === untilMs).length;
  return { page, nextPageToken: btoa(`${untilMs}.${had}`) };
}

function parseTimeToken(token: string): { untilMs: number; skip: number } {
  const match = /^(\d{1,16})\.(\d{1,7})$/.exec(decodeToken(token));
  if (!match) throw new RangeError(`${quote(token)} is not a token of a page`);
  return { untilMs: Number(match[1]), skip: Number(match[2]) };
}

function decodeToken(token: string): string {
  try {
    return atob(token);
  } catch {
    return "";
  }
}
