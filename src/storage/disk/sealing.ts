import { closeSync, fstatSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { SpanTable } from "../../model/span-table.ts";
import { MalformedBodyError } from "../../model/telemetry.ts";
import { decodeSpans } from "../../otlp/decode-body.ts";
import type { SummaryData } from "../summary-columns.ts";
import { type AttributeBlocks, BlockBuilder, writeAttributeFile } from "./attribute-blocks.ts";
import { headBytes, type Loss, noLoss, type RecordHead, SegmentScanner } from "./record.ts";
import { writeSummaryFile } from "./summary-file.ts";
import { type IndexCounts, traceHash, writeTraceIndex } from "./trace-index.ts";

/** Work on a closed segment that takes long: it is done beside the thread that answers requests. */
export type SealingTask = IndexTask | SummariesTask | AttributesTask;

export interface IndexTask {
  readonly kind: "index";
  readonly path: string;
  readonly segment: { readonly path: string; readonly mark: number };
  /** what was noted of the segment while it was written, see `writeTraceIndex`; null = it has to be read for it */
  readonly known: ({ readonly entries: Uint32Array } & IndexCounts) | null;
  /** what an earlier index says there was */
  readonly before: IndexCounts | null;
}

interface SummariesTask {
  readonly kind: "summaries";
  readonly path: string;
  readonly summaries: SummaryData;
  /** see `writeSummaryFile` */
  readonly returned: Uint32Array;
}

interface AttributesTask {
  readonly kind: "attributes";
  readonly path: string;
  readonly segment: { readonly path: string; readonly mark: number; readonly bytes: number };
  /** what was noted of the segment while it was written; null = it has to be read for it */
  readonly known: AttributeBlocks | null;
}

/** What of the segment could not be read. */
export interface SealingResult {
  readonly loss: Loss;
}

export interface Sealer {
  /** Does the work of a task. */
  seal(task: SealingTask): Promise<SealingResult>;
  close(): Promise<void>;
}

export function runSealingTask(task: SealingTask): SealingResult {
  if (task.kind === "summaries") {
    writeWhole(task.path, writeSummaryFile(task.summaries, task.returned));
    return { loss: noLoss };
  }
  if (task.kind === "attributes") {
    writeWhole(task.path, writeAttributeFile(task.known ?? readBlocks(task), task.segment.bytes));
    return { loss: noLoss };
  }
  const { entries, loss, ...counts } =
    task.known === null ? readEntries(task) : { ...task.known, loss: noLoss };
  writeWhole(task.path, writeTraceIndex(entries, counts));
  return { loss };
}

/** The file is there as a whole or not at all; what a power failure makes of it is seen by its checksums. */
function writeWhole(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  } finally {
    rmSync(`${path}.new`, { force: true });
  }
}

/** Plain bytes of a stored body. Throws where it is no gzip, or longer than its head says. */
export function plainBodyOf(head: RecordHead, stored: Buffer): Uint8Array {
  if (!head.isGzip) return stored;
  const room = Math.max(1, head.plainBytes);
  return gunzipSync(stored, { maxOutputLength: room, chunkSize: Math.max(64, room + 1) });
}

/** What attributes there are in a segment; what of it is damaged is told by its index. */
function readBlocks({ segment: { path, mark } }: AttributesTask): AttributeBlocks {
  const fd = openSync(path, "r");
  try {
    const scanner = new SegmentScanner(fd, fstatSync(fd).size, mark);
    const builder = new BlockBuilder();
    for (let record = scanner.next(); record !== null; record = scanner.next()) {
      const { offset, head, body } = record;
      const table = new SpanTable(512, noAttributes);
      let plain: Uint8Array | null = null;
      try {
        plain = plainBodyOf(head, body);
        decodeSpans(head.encoding, plain, table);
      } catch (error) {
        if (!(error instanceof MalformedBodyError) && !isZlibError(error)) throw error;
      }
      const range = { start: offset, end: offset + headBytes + head.storedBytes };
      builder.add({ ...range, encoding: head.encoding, plain, table });
    }
    return builder.take();
  } finally {
    closeSync(fd);
  }
}

/** Which traces of a segment are in which of its records. */
function readEntries({ segment: { path, mark }, before }: IndexTask) {
  const fd = openSync(path, "r");
  try {
    const bytes = fstatSync(fd).size;
    const scanner = new SegmentScanner(fd, bytes, mark);
    const entries = new TraceEntries();
    const table = new SpanTable(512, noAttributes);
    for (let record = scanner.next(); record !== null; record = scanner.next()) {
      const start = table.mark();
      try {
        decodeSpans(record.head.encoding, plainBodyOf(record.head, record.body), table);
      } catch (error) {
        // It was decoded when it came in; a later version that reads less must not fail because of it.
        if (!(error instanceof MalformedBodyError) && !isZlibError(error)) throw error;
      }
      entries.add(record.offset, hashesOf(table));
      table.restore(start);
    }
    return { entries: entries.take(), ...comparedWith(before, { ...scanner.total, bytes }, scanner.loss) };
  } finally {
    closeSync(fd);
  }
}

/** Of a segment that ends earlier than it did, an earlier index knows what was there. */
function comparedWith(
  before: IndexCounts | null,
  found: IndexCounts,
  loss: Loss,
): IndexCounts & { readonly loss: Loss } {
  if (before === null || before.records <= found.records) return { ...found, loss };
  const { records, items } = before;
  const lost = {
    records: loss.records + records - found.records,
    items: loss.items + items - found.items,
    bytes: loss.bytes + Math.max(0, before.bytes - found.bytes),
    tailBytes: 0,
  };
  return { records, items, bytes: found.bytes, loss: lost };
}

const noAttributes = { has: () => false };

/** A stored body is no gzip, or longer than its head says. */
export function isZlibError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^(Z_|ERR_BUFFER)/.test(String(error.code));
}

function hashesOf({ traceId, rowCount }: SpanTable): ReadonlySet<number> {
  const hashes = new Set<number>();
  for (let row = 0; row < rowCount; row += 1) hashes.add(traceHash(traceId, row * 4));
  return hashes;
}

/** Entries of an index as they are noted, record by record. */
export class TraceEntries {
  #entries = new Uint32Array(1024);
  #length = 0;

  get count(): number {
    return this.#length / 2;
  }

  /** The record at `offset` holds spans of traces with these hashes. */
  add(offset: number, hashes: Iterable<number>): void {
    for (const hash of hashes) this.#push(offset, hash);
  }

  take(): Uint32Array {
    return this.#entries.slice(0, this.#length);
  }

  #push(offset: number, hash: number): void {
    if (this.#length === this.#entries.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries[this.#length++] = offset;
    this.#entries[this.#length++] = hash;
  }
}
