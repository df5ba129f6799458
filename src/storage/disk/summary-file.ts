import { crc32 } from "node:zlib";
import { type TraceId, traceIdFromWords } from "../../model/ids.ts";
import { nanosFromWords, type UnixNanos } from "../../model/time.ts";
import type { SummaryData } from "../summary-columns.ts";

// docs/storage.md describes the file.

/** What can be told of a file of summaries without reading them. */
export interface SummaryFileFront {
  readonly count: number;
  /** the earliest and latest time at which one of them is found; of an empty file both are 0 */
  readonly from: UnixNanos;
  readonly to: UnixNanos;
  /** traces of it that had a summary in an earlier file, which no longer counts */
  readonly returned: readonly TraceId[];
  /** where the columns begin */
  readonly frontBytes: number;
  readonly columnsCrc: number;
}

const magic = 0x31535948; // "HYS1"
export const summaryHeaderBytes = 40;

/** `returned` = ids, four words each. */
export function writeSummaryFile(summaries: SummaryData, returned: Uint32Array): Buffer {
  const count = summaries.spanCount.length;
  const header = new Uint32Array(summaryHeaderBytes / 4);
  header.set([magic, 0, count, returned.length / 4]);
  const columns = Buffer.concat([
    ...columnsOf(summaries).map(({ buffer, byteOffset, byteLength }) =>
      Buffer.from(buffer, byteOffset, byteLength),
    ),
    Buffer.from(JSON.stringify(summaries.texts)),
  ]);
  header.set(rangeOf(summaries.found), 4);
  header[8] = crc32(returned);
  header[9] = crc32(columns);
  header[1] = crc32(header.subarray(2));
  return Buffer.concat([
    Buffer.from(header.buffer),
    Buffer.from(returned.buffer, returned.byteOffset, returned.byteLength),
    columns,
  ]);
}

/** How long the front is, by its first bytes; null = damaged. */
export function frontBytesOf(start: Buffer): number | null {
  if (start.length < summaryHeaderBytes) return null;
  const header = start.subarray(0, summaryHeaderBytes);
  if (header.readUInt32LE(0) !== magic || header.readUInt32LE(4) !== crc32(header.subarray(8))) return null;
  return summaryHeaderBytes + header.readUInt32LE(12) * 16;
}

/** `front` = as many bytes as `frontBytesOf` said; null = damaged */
export function readSummaryFront(front: Buffer): SummaryFileFront | null {
  const returned = front.subarray(summaryHeaderBytes);
  if (returned.length !== front.readUInt32LE(12) * 16 || crc32(returned) !== front.readUInt32LE(32))
    return null;
  const word = (at: number): number => front.readUInt32LE(at);
  return {
    count: word(8),
    from: nanosFromWords(word(16), word(20)),
    to: nanosFromWords(word(24), word(28)),
    returned: Array.from({ length: word(12) }, (_, i) => {
      const at = i * 16;
      const [a, b, c, d] = [0, 4, 8, 12].map((more) => returned.readUInt32LE(at + more));
      return traceIdFromWords(a ?? 0, b ?? 0, c ?? 0, d ?? 0);
    }),
    frontBytes: front.length,
    columnsCrc: word(36),
  };
}

/** The summaries behind the front of a file; null = damaged */
export function readSummaries(bytes: Buffer, { count, columnsCrc }: SummaryFileFront): SummaryData | null {
  if (crc32(bytes) !== columnsCrc || count * columnsBytes > bytes.length) return null;
  const texts = textsIn(bytes.subarray(count * columnsBytes));
  if (texts === null) return null;
  // Columns want to begin at whole words of memory.
  const { buffer } = Uint8Array.from(bytes);
  let at = 0;
  const take = (bytesPerOne: number): number => {
    at += count * bytesPerOne;
    return at - count * bytesPerOne;
  };
  const words = (perOne: number): Uint32Array<ArrayBuffer> =>
    new Uint32Array(buffer, take(perOne * 4), count * perOne);
  return {
    duration: new Float64Array(buffer, take(8), count),
    ids: words(4),
    start: words(2),
    found: words(2),
    spanCount: words(1),
    errorCount: words(1),
    rootService: words(1),
    rootOperation: words(1),
    services: words(1),
    texts,
  };
}

/** Bytes that a trace takes in all columns. */
const columnsBytes = 60;

/** null = this is no list of texts */
function textsIn(json: Buffer): readonly string[] | null {
  try {
    const texts: unknown = JSON.parse(json.toString());
    return Array.isArray(texts) && texts.every((text) => typeof text === "string") ? texts : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function columnsOf(summaries: SummaryData): readonly (Uint32Array | Float64Array)[] {
  const { duration, ids, start, found, spanCount, errorCount, rootService, rootOperation, services } =
    summaries;
  return [duration, ids, start, found, spanCount, errorCount, rootService, rootOperation, services];
}

/** The smallest and the largest of times in two words each. */
function rangeOf(times: Uint32Array): readonly number[] {
  let [from, to] = [0, 0];
  for (let at = 2; at < times.length; at += 2) {
    if (isBefore(times, at, from)) from = at;
    if (isBefore(times, to, at)) to = at;
  }
  return [from, from + 1, to, to + 1].map((at) => times[at] ?? 0);
}

function isBefore(times: Uint32Array, a: number, b: number): boolean {
  const high = (times[a] as number) - (times[b] as number);
  return high !== 0 ? high < 0 : (times[a + 1] as number) < (times[b + 1] as number);
}
