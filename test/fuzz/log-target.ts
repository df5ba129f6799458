import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { wordsOfHex } from "../../src/model/ids.ts";
import { MalformedBodyError } from "../../src/model/telemetry.ts";
import { decodeSpans } from "../../src/otlp/decode-body.ts";
import type { LogFile } from "../../src/storage/disk/log-files.ts";
import { headBytes, SegmentScanner } from "../../src/storage/disk/record.ts";
import { isZlibError, plainBodyOf } from "../../src/storage/disk/sealing.ts";
import {
  frontBytesOf,
  readSummaries,
  readSummaryFront,
  summaryHeaderBytes,
} from "../../src/storage/disk/summary-file.ts";
import { IndexDamage, TraceIndex, traceHash } from "../../src/storage/disk/trace-index.ts";
import { SummaryColumns } from "../../src/storage/summary-columns.ts";
import { openStoreFor } from "../storage/disk/open-store.ts";
import type { Target } from "./fuzzer.ts";
import { type Kind, kinds, mark, segmentFiles, stem, withChecksums } from "./log-files.ts";

const files = segmentFiles();
const knownBodies = new Set(files.stored.map((body) => body.toString("latin1")));
const hashes = files.traceIds.map((id) => traceHash(wordsOfHex(id), 0));

/** Reads the records of a segment. */
type Scanner = Pick<SegmentScanner, "next" | "loss">;
type ScannerOf = (fd: number, size: number) => Scanner;
const ownScanner: ScannerOf = (fd, size) => new SegmentScanner(fd, size, mark);

/** A whole store is opened this seldom, and bodies are decoded: that takes as long as reading hundreds of files. */
const runsPerStore = 1_000;
const runsPerDecoding = 16;

/**
 * Files of a data folder: the first byte chooses which file the others are, and whether its checksums are made to fit. Where they are
 * not, nothing is believed but what was written; where they are, what is nonsense behind them ends nothing.
 */
export function logTarget(name = "log", scannerOf = ownScanner): Target & { readonly end: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-fuzz-"));
  const scanned = openSync(join(folder, "scanned"), "w+");
  return {
    end: () => {
      closeSync(scanned);
      rmSync(folder, { recursive: true });
    },
    name,
    seeds: kinds.flatMap((kind, i) =>
      [0, 3].map((more) => Buffer.concat([Buffer.of(i + more), files[kind]])),
    ),
    dictionary: [
      Buffer.from(new Uint32Array([mark]).buffer),
      files.log.subarray(0, headBytes),
      files.index.subarray(0, 36),
      files.summaries.subarray(0, summaryHeaderBytes),
      new Uint8Array(64),
      Buffer.alloc(4, 255),
      Buffer.from([0, 0, 0, 128]),
      Buffer.from('["a","b\\u0000"]'),
    ],
    run(input) {
      const choice = input[0] ?? 0;
      const kind = kinds[choice % 3] as Kind;
      const isRepaired = choice % 6 >= 3;
      const rest = input.subarray(1);
      const bytes = isRepaired ? withChecksums(kind, rest) : Buffer.from(rest);
      // The input itself says what is done with it, so that a find stays one.
      const number = crc32(input);
      if (number % runsPerStore === 0) return openWith(join(folder, "data"), kind, bytes, isRepaired);
      if (kind === "index") return lookUp(bytes, isRepaired);
      if (kind === "summaries") return search(bytes);
      const scanner = scannerOf(written(scanned, bytes), bytes.length);
      return scan(scanner, bytes, { isRepaired, isDecoded: number % runsPerDecoding === 0 });
    },
  };
}

function written(fd: number, bytes: Buffer): number {
  ftruncateSync(fd, 0);
  writeSync(fd, bytes, 0, bytes.length, 0);
  return fd;
}

function scan(
  scanner: Scanner,
  bytes: Buffer,
  { isRepaired, isDecoded }: { readonly isRepaired: boolean; readonly isDecoded: boolean },
): string {
  let [read, end, spans] = [0, 0, 0];
  for (let record = scanner.next(); record !== null; record = scanner.next()) {
    const { offset, head, body } = record;
    if (offset < end) throw new Error("a record begins within the one before");
    end = offset + headBytes + head.storedBytes;
    read += end - offset;
    if (!isRepaired && !knownBodies.has(body.toString("latin1"))) throw new Error("a record was made up");
    if (!isDecoded) continue;
    try {
      spans += decodeSpans(head.encoding, plainBodyOf(head, body)).table.rowCount;
    } catch (error) {
      if (!(error instanceof MalformedBodyError) && !isZlibError(error)) throw error;
    }
  }
  const { records, items, bytes: lost, tailBytes } = scanner.loss;
  if (read + lost !== bytes.length) throw new Error(`${read} bytes read and ${lost} lost of ${bytes.length}`);
  if (Math.min(records, items, lost - tailBytes, tailBytes) < 0) throw new Error("less than nothing is lost");
  return `log ${Math.min(records, 12)} ${Math.min(spans, 12)} ${Math.min(lost >> 6, 32)} ${tailBytes > 0}`;
}

async function lookUp(bytes: Buffer, isRepaired: boolean): Promise<string> {
  let found = 0;
  try {
    const index = await TraceIndex.open(fileOf(bytes));
    for (const [i, hash] of hashes.entries()) {
      const offsets = await index.find(hash);
      found += offsets.length;
      const expected = files.offsets.get(files.traceIds[i] as never) ?? [];
      if (!isRepaired && offsets.join() !== expected.join()) throw new Error("an index has lost a trace");
    }
    for await (const some of index.hashes()) found += some.length;
    return `index ${Math.min(found, 99)}`;
  } catch (error) {
    if (error instanceof IndexDamage) return `index damaged ${Math.min(found, 99)}`;
    throw error;
  }
}

function fileOf(bytes: Buffer): LogFile {
  const none = (): Promise<never> => Promise.reject(new Error("a reader writes"));
  const read = (at: number, length: number): Promise<Buffer> =>
    Promise.resolve(bytes.subarray(at, at + length));
  return { write: none, sync: none, truncate: none, read, close: () => Promise.resolve() };
}

function search(bytes: Buffer): string {
  const length = frontBytesOf(bytes.subarray(0, summaryHeaderBytes));
  if (length === null) return "summaries without a head";
  const front = readSummaryFront(bytes.subarray(0, length));
  if (front === null) return "summaries with a damaged front";
  const summaries = readSummaries(bytes.subarray(front.frontBytes), front);
  if (summaries === null) return "damaged summaries";
  const columns = SummaryColumns.of(summaries);
  const { total } = columns.find({ limit: 5, service: "cart", status: "error" }, null);
  return `summaries ${Math.min(columns.find({ limit: 5 }, null).summaries.length, 5)} ${Math.min(total, 9)}`;
}

/** Everything that a server does with a folder at its start, and what is asked of it then. */
async function openWith(data: string, kind: Kind, bytes: Buffer, isRepaired: boolean): Promise<string> {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data);
  for (const other of kinds)
    writeFileSync(join(data, `${stem}.${other}`), other === kind ? bytes : files[other]);
  const { store, faults, notices, close } = await openStoreFor(data);
  let [spans, found] = [0, 0];
  for await (const { decoded } of store.restore())
    if (decoded.signal === "traces") spans += decoded.table.rowCount;
  for (const traceId of files.traceIds)
    found += (await store.readTrace(traceId)).length + (await store.readForAnalysis(traceId)).length;
  const { total } = await store.search({ limit: 100 });
  const { lostItems, lostBytes } = store.stats();
  await close();
  if (faults.length > 0) throw faults[0];
  const isWhole = bytes.equals(files[kind]);
  const isLoss = lostBytes > 0 || lostItems > 0 || notices.length > 0;
  if (isWhole && isLoss) throw new Error("a loss is reported where nothing is lost");
  if (!isRepaired && kind === "index" && isLoss) throw new Error("a damaged index has cost spans");
  return `store ${kind} ${spans} ${found} ${total} ${Math.min(lostItems, 12)} ${notices.length}`;
}
