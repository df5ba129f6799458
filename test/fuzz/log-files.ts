import { crc32, gzipSync } from "node:zlib";
import { TraceIdTable } from "../../src/engine/trace-id-table.ts";
import type { TraceId } from "../../src/model/ids.ts";
import { traceIdFromWords } from "../../src/model/ids.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeSpans } from "../../src/otlp/decode-body.ts";
import { headBytes, writeHead } from "../../src/storage/disk/record.ts";
import { writeSummaryFile } from "../../src/storage/disk/summary-file.ts";
import { traceHash, writeTraceIndex } from "../../src/storage/disk/trace-index.ts";
import { SummaryColumns } from "../../src/storage/summary-columns.ts";
import { jsonSeeds, protobufSeeds } from "./inputs.ts";

// A segment of spans as a server leaves it, with the index and the summaries beside it, the same bytes each time.

export const mark = 0x0d_0c_0b_0a;
export const stem = `traces-000000000001-${mark.toString(16).padStart(8, "0")}.v1`;
export const kinds = ["log", "index", "summaries"] as const;
export type Kind = (typeof kinds)[number];

export interface SegmentFiles extends Readonly<Record<Kind, Buffer>> {
  /** bodies as they are stored */
  readonly stored: readonly Buffer[];
  readonly traceIds: readonly TraceId[];
  /** by trace, where its records begin */
  readonly offsets: ReadonlyMap<TraceId, readonly number[]>;
}

/** Bodies of both encodings, packed and not; one of them is empty. */
export function segmentFiles(): SegmentFiles {
  const packed = (body: Uint8Array | string): Buffer => gzipSync(body, { level: 1 });
  const bodies = [
    ...protobufSeeds.traces.map((plain) => ({ plain, stored: packed(plain), encoding: "protobuf" as const })),
    ...jsonSeeds.traces.map((plain) => ({ plain, stored: Buffer.from(plain), encoding: "json" as const })),
    { plain: new Uint8Array(0), stored: Buffer.alloc(0), encoding: "protobuf" as const },
    ...jsonSeeds.traces.map((plain) => ({ plain, stored: packed(plain), encoding: "json" as const })),
  ];
  const parts: Buffer[] = [];
  const entries: number[] = [];
  const offsets = new Map<TraceId, number[]>();
  const ids = new TraceIdTable();
  let [at, items] = [0, 0];
  for (const [number, { plain, stored, encoding }] of bodies.entries()) {
    const bytes = Buffer.from(plain);
    const { table } = decodeSpans(encoding, bytes);
    const head = {
      number,
      itemsBefore: items,
      items: table.rowCount,
      encoding,
      isGzip: stored.length > 0 && stored[0] === 0x1f,
    };
    const sizes = { storedBytes: stored.length, plainBytes: bytes.length, bodyCrc: crc32(stored) };
    parts.push(
      writeHead({ ...head, ...sizes, arrivalTime: 1_700_000_000_000_000_000n as UnixNanos }, mark),
      stored,
    );
    const hashes = new Set<number>();
    for (let row = 0; row < table.rowCount; row += 1) {
      hashes.add(traceHash(table.traceId, row * 4));
      ids.add(table.traceId, row * 4);
      const [a = 0, b = 0, c = 0, d = 0] = table.traceId.subarray(row * 4, row * 4 + 4);
      const traceId = traceIdFromWords(a, b, c, d);
      const known = offsets.get(traceId) ?? [];
      if (known.at(-1) !== at) offsets.set(traceId, [...known, at]);
    }
    for (const hash of hashes) entries.push(at, hash);
    at += headBytes + stored.length;
    items += table.rowCount;
  }
  const counts = { records: bodies.length, items, bytes: at };
  return {
    log: Buffer.concat(parts),
    index: writeTraceIndex(Uint32Array.from(entries), counts),
    summaries: summariesOf(ids),
    stored: bodies.map(({ stored }) => stored),
    traceIds: [...offsets.keys()],
    offsets,
  };
}

function summariesOf(ids: TraceIdTable): Buffer {
  const columns = new SummaryColumns(ids);
  for (let entry = 0; entry < ids.end; entry += 1) {
    const [a = 0, b = 0, c = 0, d = 0] = ids.wordsOf(entry);
    const startTime = (1_700_000_000_000_000_000n + BigInt(entry)) as UnixNanos;
    columns.put(entry, {
      traceId: traceIdFromWords(a, b, c, d),
      rootService: "web",
      rootOperation: `GET /${entry % 2}`,
      startTime,
      indexTime: startTime,
      durationNanos: 10 * entry,
      spanCount: entry,
      errorCount: entry % 2,
      services: ["web", "cart"],
    });
  }
  return writeSummaryFile(columns.toData(), ids.wordsOf(0).slice());
}

/**
 * The same bytes with checksums that fit, as far as there is room for them: what stands behind a checksum is tried too, though no
 * damage gets there.
 */
export function withChecksums(kind: Kind, input: Uint8Array): Buffer {
  const bytes = Buffer.from(input);
  if (kind === "log") repairRecords(bytes);
  else if (kind === "index") repairIndex(bytes);
  else repairSummaries(bytes);
  return bytes;
}

function repairRecords(bytes: Buffer): void {
  const sought = Buffer.alloc(4);
  sought.writeUInt32LE(mark);
  let at = bytes.indexOf(sought);
  while (at >= 0 && at + headBytes <= bytes.length) {
    const length = bytes.readUInt32LE(at + 16);
    bytes.writeUInt32LE(crc32(bytes.subarray(at + headBytes, at + headBytes + length)), at + 36);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 40)), at + 40);
    at = bytes.indexOf(sought, at + headBytes);
  }
}

function repairIndex(bytes: Buffer): void {
  if (bytes.length < 36) return;
  const frontEnd = 36 + bytes.readUInt32LE(20) * 4 + bytes.readUInt32LE(24) * 4;
  for (let at = frontEnd; at + 4096 <= bytes.length; at += 4096)
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 4088)), at + 4088);
  bytes.writeUInt32LE(crc32(bytes.subarray(36, frontEnd)), 28);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 32)), 32);
}

function repairSummaries(bytes: Buffer): void {
  if (bytes.length < 40) return;
  const frontEnd = 40 + bytes.readUInt32LE(12) * 16;
  bytes.writeUInt32LE(crc32(bytes.subarray(40, frontEnd)), 32);
  bytes.writeUInt32LE(crc32(bytes.subarray(frontEnd)), 36);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, 40)), 4);
}
