import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { TelemetryStore } from "../../src/engine/ports.ts";
import type { TraceId } from "../../src/model/ids.ts";
import { Span } from "../../src/model/span.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeBody, decodeSpans } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { headBytes, readHead } from "../../src/storage/disk/record.ts";
import type { Random } from "../fuzz/mutate.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { openStoreFor } from "../storage/disk/open-store.ts";

// What a disk, or somebody with a shell, does to the files of a store; and, told from the bytes alone, what is left of them.

interface RecordPlace {
  readonly from: number;
  readonly to: number;
  /** of its spans */
  readonly names: readonly string[];
}

interface SegmentBefore {
  /** of the files beside each other, without their ending */
  readonly stem: string;
  readonly records: readonly RecordPlace[];
}

export interface FolderBefore {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly segments: readonly SegmentBefore[];
}

const segmentsCount = 3;
const recordsOfSegment = 5;
/** One span in each segment. */
const sharedTrace = 99;
export const allTraces = [
  ...Array.from({ length: segmentsCount * recordsOfSegment }, (_, i) => i + 1),
  sharedTrace,
];

/** A folder of three segments as servers leave it, of which two have their summaries. */
export async function makeFolder(folder: string, random: Random): Promise<FolderBefore> {
  for (let segment = 0; segment < segmentsCount; segment += 1) {
    const { store, close } = await openStoreFor(folder);
    await restoreInto(store);
    for (let record = 0; record < recordsOfSegment; record += 1) {
      const trace = segment * recordsOfSegment + record + 1;
      const shared =
        record === 1 ? `web shared-${segment} 0..9ms trace=${sharedTrace} id=${segment + 7}` : "";
      await append(
        store,
        `web span-${trace} 0..9ms trace=${trace} note=${noise(random, record === 2 && segment !== 1 ? 9_000 : 60)}\n${shared}`,
      );
    }
    for (const trace of allTraces) await putSummaryOf(store, trace);
    await close();
  }
  const names = readdirSync(folder).filter((name) => name.startsWith("traces-"));
  const files = new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
  const logs = names.filter((name) => name.endsWith(".log")).sort();
  return { files, segments: logs.map((name) => segmentOf(name, files.get(name) as Buffer)) };
}

/** Text that no packing makes much smaller. */
function noise(random: Random, length: number): string {
  return Array.from({ length }, () => "0123456789abcdefghijklmnopqrstuvwxyz"[random.below(36)]).join("");
}

export async function append(store: TelemetryStore, text: string): Promise<void> {
  const body = encodeTraces(rowsOf(tableOf(text)));
  const { decoded } = decodeBody("traces", "protobuf", body);
  await store.append({ signal: "traces", encoding: "protobuf", body }, decoded);
}

export function idOf(trace: number): TraceId {
  return trace.toString(16).padStart(32, "0") as TraceId;
}

/** What an engine does with what it finds at a start. */
export async function restoreInto(store: TelemetryStore): Promise<void> {
  for await (const { decoded } of store.restore()) {
    if (decoded.signal !== "traces") continue;
    const { traceId, rowCount } = decoded.table;
    for (let row = 0; row < rowCount; row += 1) await putSummaryOf(store, traceId[row * 4 + 3] as number);
  }
}

async function putSummaryOf(store: TelemetryStore, trace: number): Promise<void> {
  const rows = await store.readForAnalysis(idOf(trace));
  if (rows.length === 0) return;
  const startTime = BigInt(trace) as UnixNanos;
  const counts = { durationNanos: 10, spanCount: rows.length, errorCount: 0 };
  const root = { rootService: "web", rootOperation: "GET /", services: ["web"] };
  await store.putSummary({ traceId: idOf(trace), startTime, indexTime: startTime, ...counts, ...root });
}

function segmentOf(name: string, bytes: Buffer): SegmentBefore {
  const mark = Number.parseInt(name.slice(20, 28), 16);
  const records: RecordPlace[] = [];
  for (let from = 0; from < bytes.length; ) {
    const head = readHead(bytes, from, mark);
    if (head === null) throw new Error(`${name} is damaged before anything was done to it`);
    const to = from + headBytes + head.storedBytes;
    const { table } = decodeSpans(head.encoding, gunzipSync(bytes.subarray(from + headBytes, to)));
    records.push({ from, to, names: rowsOf(table).map(({ row }) => new Span(table, row).name) });
    from = to;
  }
  return { stem: name.replace(/\.log$/, ""), records };
}

/** A file as it is after the damage; null = there is none, "folder" and "link" = there is one, or a link to nowhere, in its place. */
export type FileAfter = Buffer | null | "folder" | "link";

export const damageKinds = [
  "flipped",
  "flipped",
  "zeroed",
  "zeroed",
  "cut",
  "cut",
  "empty",
  "missing",
  "foreign",
  "folder",
  "link",
] as const;

export function damaged(bytes: Buffer, kind: (typeof damageKinds)[number], random: Random): FileAfter {
  const copy = Buffer.from(bytes);
  const at = random.below(Math.max(1, bytes.length));
  switch (kind) {
    case "flipped":
      if (copy.length > 0) copy[at] = (copy[at] as number) ^ (1 << random.below(8));
      return copy;
    case "zeroed": {
      const page = random.below(2) === 0 ? at : at - (at % 4096);
      return copy.fill(0, page, Math.min(copy.length, page + (random.below(2) === 0 ? 4096 : 64)));
    }
    case "cut":
      return copy.subarray(0, at);
    case "empty":
      return Buffer.alloc(0);
    case "missing":
      return null;
    case "foreign":
      for (let i = 0; i < copy.length; i += 1) copy[i] = random.below(256);
      return copy;
    case "folder":
    case "link":
      return kind;
    default:
      return kind satisfies never;
  }
}

/** Files that nobody expects: of other programs, of other folders, of a crash. */
export function strangersFor(
  { files, segments }: FolderBefore,
  random: Random,
): ReadonlyMap<string, FileAfter> {
  const [first] = segments;
  const log = files.get(`${first?.stem}.log`) as Buffer;
  const all: readonly (readonly [string, FileAfter])[] = [
    ["notes.txt", Buffer.from("not ours")],
    ["lost+found", "folder"],
    // a copy of a segment with another mark: nothing in it is to be believed
    ["traces-000000000001-00000001.v1.log", log],
    ["traces-999999999999-0000002a.v1.log", Buffer.from("far ahead")],
    ["traces-000000000002-0000003b.v1.log", Buffer.alloc(0)],
    [`${first?.stem}.index.new`, Buffer.from("half")],
    ["metrics-000000000001-0000004c.v1.log", "folder"],
    ["lock", "folder"],
    ["lock", Buffer.from("4000000 1\n")],
  ];
  return new Map(Array.from({ length: random.below(3) }, () => random.of(all)));
}

export function writeFolder(folder: string, files: ReadonlyMap<string, FileAfter>): void {
  for (const [name, content] of files) {
    const path = join(folder, name);
    if (content === "folder") mkdirSync(path);
    else if (content === "link") symlinkSync(join(folder, "nowhere"), path);
    else if (content !== null) writeFileSync(path, content);
  }
}

export interface Remains {
  /** names of spans that are there, sorted */
  readonly names: readonly string[];
  /** requests, and spans in them, that are known to have been there and are not */
  readonly lostRecords: number;
  readonly lostItems: number;
  readonly lostBytes: number;
  readonly tornBytes: number;
}

/** What is left of a folder, and what of the rest can be known. */
export function remainsOf(before: FolderBefore, after: ReadonlyMap<string, FileAfter>): Remains {
  const parts = before.segments.map((segment) => remainsOfSegment(segment, before, after));
  for (const [name, content] of after)
    if (/^traces-.*\.log$/.test(name) && !before.files.has(name) && content instanceof Buffer)
      parts.push({ ...nothing, lostBytes: content.length, tornBytes: content.length });
  const sum = (of: (part: Remains) => number): number => parts.reduce((total, part) => total + of(part), 0);
  return {
    names: parts.flatMap(({ names }) => names).sort(),
    lostRecords: sum((part) => part.lostRecords),
    lostItems: sum((part) => part.lostItems),
    lostBytes: sum((part) => part.lostBytes),
    tornBytes: sum((part) => part.tornBytes),
  };
}

const nothing: Remains = { names: [], lostRecords: 0, lostItems: 0, lostBytes: 0, tornBytes: 0 };

function remainsOfSegment(
  { stem, records }: SegmentBefore,
  { files }: FolderBefore,
  after: ReadonlyMap<string, FileAfter>,
): Remains {
  const was = files.get(`${stem}.log`) as Buffer;
  const is = after.get(`${stem}.log`);
  const isIndexed = tellsCounts(files.get(`${stem}.index`) as Buffer, after.get(`${stem}.index`) ?? null);
  const itemsOf = (some: readonly RecordPlace[]): number =>
    some.reduce((sum, { names }) => sum + names.length, 0);
  if (!(is instanceof Buffer)) {
    const lost = isIndexed ? records : [];
    return {
      ...nothing,
      lostRecords: lost.length,
      lostItems: itemsOf(lost),
      lostBytes: isIndexed ? was.length : 0,
    };
  }
  const isSame = (from: number, to: number): boolean =>
    to <= is.length && was.subarray(from, to).equals(is.subarray(from, to));
  const whole = records.filter(({ from, to }) => isSame(from, to));
  const lastWhole = records.findLastIndex(({ from, to }) => isSame(from, to));
  // One with a whole head and a body of its length says what was before it and in it.
  const lastNamed = records.findLastIndex(
    ({ from, to }) => to <= is.length && isSame(from, from + headBytes),
  );
  const told = records.slice(0, Math.max(lastWhole, lastNamed) + 1);
  const known = isIndexed ? records : told;
  const isMoreKnown = known.length > told.length;
  const wholeBytes = whole.reduce((sum, { from, to }) => sum + to - from, 0);
  const lostBytes = is.length - wholeBytes + (isMoreKnown ? Math.max(0, was.length - is.length) : 0);
  return {
    names: whole.flatMap(({ names }) => names),
    lostRecords: known.length - whole.length,
    lostItems: itemsOf(known) - itemsOf(whole),
    lostBytes,
    tornBytes: isMoreKnown ? 0 : is.length - (records[lastWhole]?.to ?? 0),
  };
}

/** Whether an index still says how much its segment had: its front is whole. */
function tellsCounts(was: Buffer, is: FileAfter): boolean {
  if (!(is instanceof Buffer)) return false;
  const front = 36 + was.readUInt32LE(20) * 4 + was.readUInt32LE(24) * 4;
  return is.length >= front && is.subarray(0, front).equals(was.subarray(0, front));
}
