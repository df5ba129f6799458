import { randomBytes } from "node:crypto";
import { lstat, readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { OperationError } from "../../engine/errors/operation-error.ts";
import type { Clock, Encoding, Signal } from "../../engine/ports.ts";
import { NANOS_PER_MS } from "../../model/time.ts";
import type { LogFile, LogFiles } from "./log-files.ts";
import {
  headBytes,
  isWhole,
  type RecordHead,
  readHead,
  type StoredRecord,
  wholeRecords,
  writeHead,
} from "./record.ts";

export interface LogOptions {
  readonly folder: string;
  readonly signal: Signal;
  /** a segment that has reached this size or age is closed, and a new one begun */
  readonly segmentBytesMax: number;
  readonly segmentAgeMsMax: number;
  /** whether one has to be closed for another reason */
  readonly isFull: (segment: Segment) => boolean;
  /** whether an append waits until the disk has it */
  readonly syncs: boolean;
  readonly files: LogFiles;
  readonly clock: Clock;
  /** a segment takes nothing more; called when all appends to it have been told where they are */
  readonly onClosed: (segment: Segment) => void;
  /** an append failed; it was refused, and its sender sends it again */
  readonly onFailed: (error: Error) => void;
}

/** A body as it goes into the log. */
export interface LogEntry {
  readonly encoding: Encoding;
  readonly isGzip: boolean;
  readonly stored: Uint8Array;
  readonly plainBytes: number;
  /** spans, points or log records in it */
  readonly items: number;
}

/** A file of the log. */
export interface Segment {
  readonly signal: Signal;
  /** they are numbered from 1 as they are found at a start, in the order in which they were begun, and as they are begun then */
  readonly number: number;
  /** what each of its records begins with */
  readonly mark: number;
  readonly path: string;
  bytes: number;
  records: number;
  items: number;
  /** when it was last written to, Unix milliseconds */
  changedMs: number;
  /** the same in monotonic milliseconds; of an earlier process's reckoned from the wall clock as it was at the start */
  writtenMs: number;
  /** when it was begun and when it took its last, monotonic milliseconds; 0 = in an earlier process */
  readonly openedMs: number;
  closedMs: number;
  file: Promise<LogFile> | null;
  /** whether more may be appended */
  isOpen: boolean;
  /** an earlier process wrote it */
  readonly isOld: boolean;
  /** false = there may be more in the file than was acknowledged */
  isTrusted: boolean;
  /** its retention is over */
  isGone: boolean;
}

export interface Place {
  readonly segment: Segment;
  readonly offset: number;
}

interface Waiting {
  readonly entry: LogEntry;
  readonly resolve: (place: Place) => void;
  readonly reject: (error: OperationError) => void;
}

/** Bytes of one group of appends, so that the first of many large ones does not wait for all. */
const groupBytesMax = 32 * 1024 * 1024;

/** Raised when records change in a way that older programs cannot read; newer programs read all lower ones. */
const formatVersion = 1;

/**
 * Bodies in files, one behind the other. Appends that come while others are being written are written together, with one
 * wait for the disk. A file is never continued after a restart or after a failed wait for the disk, so that what is wrong
 * with it cannot spread.
 */
export class SegmentedLog {
  readonly #options: LogOptions;
  /** oldest first; the last one may be open */
  readonly #segments: Segment[];
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | null = null;
  #nextNumber: number;
  /** names are counted over all starts */
  #nextInName: number;
  readonly #syncs = { count: 0, ms: 0 };

  private constructor(options: LogOptions, segments: Segment[], lastInName: number) {
    this.#options = options;
    this.#segments = segments;
    this.#nextNumber = segments.length + 1;
    this.#nextInName = lastInName + 1;
  }

  /** The log of one signal in a folder, with what is there. */
  static async open(options: LogOptions): Promise<SegmentedLog> {
    const found = (await readdir(options.folder)).flatMap((name) => {
      const parsed = parseName(name);
      return parsed?.signal === options.signal ? [{ name, ...parsed }] : [];
    });
    // Of files that were copied here from elsewhere, some may have the same number.
    found.sort((a, b) => a.inName - b.inName || (a.name < b.name ? -1 : 1));
    const segments: Segment[] = [];
    for (const [i, { name, signal, mark, version }] of found.entries()) {
      if (version > formatVersion) throw tooNew(name);
      const path = join(options.folder, name);
      const { size, mtimeMs } = await stat(path);
      const agoMs = Math.max(0, unixMsOf(options.clock) - mtimeMs);
      const writtenMs = options.clock.monotonicMs() - agoMs;
      const times = { changedMs: mtimeMs, writtenMs, openedMs: 0, closedMs: 0 };
      const counts = { bytes: size, records: 0, items: 0 };
      const state = { file: null, isOpen: false, isOld: true, isTrusted: false, isGone: false };
      segments.push({ signal, mark, number: i + 1, ...counts, ...times, ...state, path });
    }
    return new SegmentedLog(options, segments, found.at(-1)?.inName ?? 0);
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }
  /** How often the disk was waited for, and how long in all. */
  get syncs(): { readonly count: number; readonly ms: number } {
    return this.#syncs;
  }
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Resolves when the body is written, and on the disk if the log waits for that. Rejects when its sender should send it again. */
  append(entry: LogEntry): Promise<Place> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** The record at a place, null = it is damaged or gone. */
  async read({
    segment,
    offset,
  }: Place): Promise<{ readonly head: RecordHead; readonly body: Buffer } | null> {
    try {
      segment.file ??= this.#options.files.open(segment.path);
      const file = await segment.file;
      const start = await file.read(offset, readAheadBytes);
      const head = readHead(start, 0, segment.mark);
      if (head === null) return null;
      const end = headBytes + head.storedBytes;
      const all = end <= start.length ? start : await file.read(offset, end);
      const body = all.subarray(headBytes, end);
      return isWhole(head, body) ? { head, body } : null;
    } catch (error) {
      if (isFileError(error)) return null;
      throw error;
    }
  }

  /** All whole records between two offsets; none where the segment is gone. */
  async readRange(segment: Segment, start: number, end: number): Promise<readonly StoredRecord[]> {
    let bytes: Buffer;
    try {
      segment.file ??= this.#options.files.open(segment.path);
      bytes = await (await segment.file).read(start, end - start);
    } catch (error) {
      if (isFileError(error)) return [];
      throw error;
    }
    return [...wholeRecords(bytes, segment.mark)].map((record) => ({
      ...record,
      offset: start + record.offset,
    }));
  }

  /**
   * Forgets the oldest segment that is closed; null = there is none. Its file is the last thing that goes, see `removeFile`: what is
   * beside one that is gone tells of a loss.
   */
  async dropOldest(): Promise<Segment | null> {
    const [oldest] = this.#segments;
    if (oldest === undefined || oldest.isOpen) return null;
    this.#segments.shift();
    oldest.isGone = true;
    await closeFile(oldest);
    return oldest;
  }

  /** Removes the file of a segment that was dropped. */
  async removeFile({ path }: Segment): Promise<void> {
    await unlink(path).catch(ignoreMissing);
  }

  /** The next append begins a new segment, unless one is under way. */
  closeSegment(): void {
    if (this.#flushing === null) this.#close();
  }

  /** When all appends are done. */
  async close(): Promise<void> {
    await this.#flushing;
    for (const segment of this.#segments) await closeFile(segment);
  }

  async #flush(): Promise<void> {
    // What else comes in this turn goes along.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        const places = await this.#write(group);
        for (const [i, { resolve }] of group.entries()) resolve(places[i] as Place);
      } catch (error) {
        this.#options.onFailed(error as Error);
        for (const { reject } of group) reject(refusal(error as Error));
      }
    }
    this.#flushing = null;
  }

  #takeGroup(): readonly Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length && (count === 0 || bytes < groupBytesMax)) {
      bytes += (this.#waiting[count] as Waiting).entry.stored.length;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(group: readonly Waiting[]): Promise<readonly Place[]> {
    const { syncs, clock } = this.#options;
    const segment = await this.#openSegment();
    const file = await (segment.file as Promise<LogFile>);
    const arrivalTime = clock.unixNanos();
    const parts: Uint8Array[] = [];
    const places: Place[] = [];
    let [offset, records, items] = [segment.bytes, segment.records, segment.items];
    for (const { entry } of group) {
      const head = { ...entry, number: records, itemsBefore: items, arrivalTime };
      const { stored } = entry;
      parts.push(
        writeHead({ ...head, storedBytes: stored.length, bodyCrc: crc32(stored) }, segment.mark),
        stored,
      );
      places.push({ segment, offset });
      offset += headBytes + stored.length;
      records += 1;
      items += entry.items;
    }
    await file.write(parts, segment.bytes).catch(async (error: unknown) => {
      // What was written of the group goes; where that fails too, the segment takes nothing more.
      await file.truncate(segment.bytes).catch(() => this.#close());
      throw error;
    });
    // What the disk has after a failure nobody knows: nothing more is written to this file.
    if (syncs) {
      const startMs = clock.monotonicMs();
      await file.sync().catch((error: unknown) => {
        segment.isTrusted = false;
        this.#close();
        throw error;
      });
      this.#syncs.count += 1;
      this.#syncs.ms += clock.monotonicMs() - startMs;
    }
    const written = { changedMs: unixMsOf(clock), writtenMs: clock.monotonicMs() };
    Object.assign(segment, { bytes: offset, records, items, ...written });
    return places;
  }

  async #openSegment(): Promise<Segment> {
    const { segmentBytesMax, segmentAgeMsMax, isFull, clock } = this.#options;
    const last = this.#segments.at(-1);
    if (last?.isOpen === true) {
      const isYoung = clock.monotonicMs() - last.openedMs < segmentAgeMsMax;
      if (last.bytes < segmentBytesMax && isYoung && !isFull(last)) return last;
      // Those who were just told where their bodies are have to note it first.
      await nextTurn();
      this.#close();
    }
    const { folder, signal, files } = this.#options;
    const number = this.#nextNumber++;
    const mark = randomBytes(4).readUInt32LE();
    const path = join(folder, nameOf(signal, this.#nextInName++, mark));
    const file = await files.create(path);
    const counts = { bytes: 0, records: 0, items: 0 };
    const nowMs = clock.monotonicMs();
    const times = { changedMs: unixMsOf(clock), writtenMs: nowMs, openedMs: nowMs, closedMs: 0 };
    const segment = { signal, number, mark, path, ...counts, ...times };
    const state = { isOpen: true, isOld: false, isTrusted: true, isGone: false };
    const opened: Segment = { ...segment, ...state, file: Promise.resolve(file) };
    this.#segments.push(opened);
    return opened;
  }

  #close(): void {
    const last = this.#segments.at(-1);
    if (last?.isOpen !== true) return;
    last.isOpen = false;
    last.closedMs = this.#options.clock.monotonicMs();
    this.#options.onClosed(last);
  }
}

/**
 * How long ago a segment was last written to, milliseconds, never more than it is: wall clocks jump. What this process wrote is as
 * old as the monotonic clock says; what an earlier one wrote as the wall clock said at the start, or says now, whichever is less.
 */
export function ageMsOf({ isOld, changedMs, writtenMs }: Segment, clock: Clock): number {
  const elapsedMs = clock.monotonicMs() - writtenMs;
  return isOld ? Math.min(elapsedMs, unixMsOf(clock) - changedMs) : elapsedMs;
}

/** Unix milliseconds, as files have them. */
export function unixMsOf(clock: Clock): number {
  return Number(clock.unixNanos() / BigInt(NANOS_PER_MS));
}

async function closeFile(segment: Segment): Promise<void> {
  // One that could not be opened needs no closing.
  const file = await segment.file?.catch(() => null);
  await file?.close();
}

/** Most bodies come with one read. */
const readAheadBytes = 64 * 1024;

/** The other files about a segment stand beside it. */
export function besides({ path }: Segment, kind: "index" | "summaries" | "attributes"): string {
  return path.replace(/log$/, kind);
}

/** Removes what a crash has left half written; answers the files about segments that are gone. */
export async function removeLeftovers(
  folder: string,
  segments: readonly Segment[],
): Promise<readonly string[]> {
  const kinds = ["index", "summaries", "attributes"] as const;
  const wanted = new Set(segments.flatMap((segment) => kinds.map((kind) => besides(segment, kind))));
  const orphans: string[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (/\.(index|summaries|attributes)\.new$/.test(name)) await unlink(path).catch(ignoreMissing);
    else if (/\.(index|summaries|attributes)$/.test(name) && !wanted.has(path)) orphans.push(path);
  }
  return orphans;
}

const ourNames =
  /^((traces|metrics|logs)-\d{12,}-.*\.(log|index|summaries|attributes)(\.new)?|(incident|kept-trace)-[0-9A-Za-z-]+\.v\d+(\.new)?|lock)$/;

/**
 * Renames what bears one of our names and is no file (a folder, a pipe, a link to nowhere): it can neither be read nor
 * replaced. Answers what it was called and is called now.
 */
export async function setOthersAside(folder: string): Promise<readonly (readonly [string, string])[]> {
  const renamed: [string, string][] = [];
  for (const name of await readdir(folder)) {
    if (!ourNames.test(name)) continue;
    const path = join(folder, name);
    const state = await stat(path).catch(ignoreMissing);
    // A link to nowhere is there, though what it leads to is not.
    const isThere = state !== undefined || (await lstat(path).catch(ignoreMissing)) !== undefined;
    if (!isThere || state?.isFile() === true) continue;
    const aside = `${path}.aside-${randomBytes(4).toString("hex")}`;
    await rename(path, aside).catch(ignoreMissing);
    renamed.push([path, aside]);
  }
  return renamed;
}

function nameOf(signal: Signal, inName: number, mark: number): string {
  const hex = mark.toString(16).padStart(8, "0");
  return `${signal}-${String(inName).padStart(12, "0")}-${hex}.v${formatVersion}.log`;
}

function parseName(name: string) {
  const [, signal, inName, mark, version] =
    /^(traces|metrics|logs)-(\d{12,})-([0-9a-f]{8})\.v(\d+)\.log$/.exec(name) ?? [];
  if (signal === undefined) return null;
  return {
    signal: signal as Signal,
    inName: Number(inName),
    mark: Number.parseInt(mark ?? "", 16),
    version: Number(version),
  };
}

/** A file of the folder that a later version has written. */
export function tooNew(name: string): OperationError {
  return new OperationError(
    "bad_configuration",
    `The data folder holds ${name}, which a newer hypocenter wrote`,
    "Use that version, or another folder with --data.",
  );
}

function refusal(error: Error): OperationError {
  const isFull = isFileError(error) && (error.code === "ENOSPC" || error.code === "EDQUOT");
  return new OperationError(
    "overloaded",
    isFull ? "the disk is full" : "the disk does not take it right now",
    "Send it again later.",
    error,
  );
}

export function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === "string";
}

export function ignoreMissing(error: unknown): void {
  if (!isFileError(error) || error.code !== "ENOENT") throw error;
}
