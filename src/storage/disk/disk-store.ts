import { mkdir, statfs, unlink } from "node:fs/promises";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { gunzip as gunzipThen, gzipSync, gzip as gzipThen } from "node:zlib";
import { assert } from "../../base/assert.ts";
import { OperationError } from "../../engine/errors/operation-error.ts";
import {
  type AttributeFilter,
  type Clock,
  type Decoded,
  type KeptIncident,
  type ReceivedBody,
  type RestoredBody,
  type Signal,
  type StoreStats,
  signals,
  type TelemetryStore,
  type TracePage,
  type TraceQuery,
  type TraceSummary,
} from "../../engine/ports.ts";
import { type TraceId, wordsOfHex } from "../../model/ids.ts";
import type { SpanTable } from "../../model/span-table.ts";
import type { RowRef } from "../../trace/trace.ts";
import { SearchProgress, searchBlocks, tracesIn } from "../attribute-search.ts";
import { BodyIndex } from "../body-index.ts";
import { type PlainBody, type ReaderLimits, type TracePart, TraceReader } from "../trace-reader.ts";
import type { BlockRange } from "./attribute-blocks.ts";
import { AttributeFiles } from "./attribute-files.ts";
import { lockFolder, type Unlock } from "./directory-lock.ts";
import { IncidentFiles } from "./incident-files.ts";
import { KeptTraceFiles } from "./kept-trace-files.ts";
import { type LogFiles, nodeFiles } from "./log-files.ts";
import { Losses } from "./losses.ts";
import { headBytes, type RecordHead, type StoredRecord } from "./record.ts";
import { restoredBodies } from "./restore.ts";
import { SealedSegments } from "./sealed-segments.ts";
import { isZlibError, plainBodyOf, type Sealer } from "./sealing.ts";
import {
  ageMsOf,
  ignoreMissing,
  isFileError,
  type Place,
  removeLeftovers,
  type Segment,
  SegmentedLog,
  setOthersAside,
  unixMsOf,
} from "./segmented-log.ts";
import { SummaryRuns } from "./summary-runs.ts";
import { traceHash } from "./trace-index.ts";

/** How long one signal is kept, and on how much disk. */
interface Retention {
  readonly ageMsMax: number;
  readonly bytesMax: number;
}

export interface DiskStoreOptions extends ReaderLimits {
  readonly folder: string;
  /** whether an append waits until the disk has it */
  readonly syncs: boolean;
  readonly retention: Readonly<Record<Signal, Retention>>;
  /** disk for traces that incidents keep when their segments go; those that were kept longest go first */
  readonly keptBytesMax: number;
  /** bytes of the disk that are left free; the oldest goes for them, then nothing is taken */
  readonly freeBytesMin: number;
  /** bytes of the newest spans that a start reads again; of metrics and of log records a quarter of it */
  readonly restoreBytesMax: number;
  /** so long after its last span a trace has its summary; one that is later is filed under a later segment */
  readonly foldedAfterMs: number;
  /** nothing older than this is read again */
  readonly restoreAgeMsMax: number;
  readonly clock: Clock;
  /** closed with the store */
  readonly sealer: Sealer;
  /** what an operator should know: what was lost, a disk that fails and that works again */
  readonly onNotice: (message: string) => void;
  /** faults of ours in background work */
  readonly onFault: (fault: unknown) => void;
  readonly files?: LogFiles;
}

const segmentBytesMax = 64 * 1024 * 1024;
const segmentBytesMin = 256 * 1024;
/**
 * What an open segment has in memory grows with its traces, about 300 bytes each; bodies of tiny ones that are packed well would make a
 * million of them, and as nothing goes before it is closed, senders would be refused for good.
 */
const segmentEntriesMax = 200_000;
/** A retention is kept to within so many parts of it: whole segments go. */
const segmentsOfRetention = 16;
/** Nothing of an earlier process goes by its age so soon after a start, or a sixteenth of the retention: clocks are often set then. */
const settleMsMax = 600_000;
const lookMs = 1_000;
/** Of incidents with their reports: some hundred times as many as are kept as a rule. Those that were written longest ago go. */
const incidentBytesMax = 64 * 1024 * 1024;
/** How long a stop waits for the index of the last segment. */
const closeMsMax = 500;
/** Bodies are looked up in memory until so long after their segment was closed: most traces are folded by then. */
const heldMs = 5_000;
/** Bodies that are forgotten at once when their segment has its index. */
const bodiesPerTurn = 100;
/** Smaller bodies are packed at once: a thread would take longer to be asked. */
const smallBodyBytes = 4 * 1024;
const gzipLater = promisify(gzipThen);
const gunzipLater = promisify(gunzipThen);
/** Higher levels take twice the time to save a tenth. */
const packing = { level: 1 };

/**
 * Keeps telemetry in a folder: bodies in a log for each signal, an index and summaries beside each closed segment of spans. Opens
 * whatever a crash or a bad disk has left; rejects only where another process writes to the folder, a newer version wrote it, or
 * it cannot be used at all.
 */
export async function openDiskStore(options: DiskStoreOptions): Promise<TelemetryStore> {
  const { folder } = options;
  let unlock: Unlock | null = null;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const [path, aside] of await setOthersAside(folder))
      options.onNotice(`${path} is no file: it is called ${aside} now`);
    unlock = await lockFolder(folder);
    const { files = nodeFiles, clock, onNotice, keptBytesMax } = options;
    const small = { folder, files, clock, onNotice };
    const kept = await KeptTraceFiles.open({ ...small, bytesMax: keptBytesMax });
    const incidents = await IncidentFiles.open({ ...small, bytesMax: incidentBytesMax });
    const store = new DiskStore(options, { unlock, kept, incidents });
    await store.open();
    return store;
  } catch (error) {
    await unlock?.();
    throw isFileError(error) ? unusable(folder, error) : error;
  }
}

function unusable(folder: string, cause: Error): OperationError {
  return new OperationError(
    "bad_configuration",
    `Cannot use ${folder} for telemetry: ${cause.message}`,
    "Choose another folder with --data, or --memory for none.",
    cause,
  );
}

interface DiskStoreParts {
  readonly unlock: Unlock;
  readonly kept: KeptTraceFiles;
  readonly incidents: IncidentFiles;
}

class DiskStore implements TelemetryStore {
  readonly #options: DiskStoreOptions;
  readonly #unlock: Unlock;
  readonly #kept: KeptTraceFiles;
  readonly #incidents: IncidentFiles;
  readonly #reader: TraceReader;
  readonly #losses: Losses;
  readonly #logs = new Map<Signal, SegmentedLog>();
  /** of segments of spans that have no index on disk yet, or only just */
  readonly #index = new BodyIndex<Place>();
  readonly #sealed: SealedSegments;
  readonly #runs: SummaryRuns;
  readonly #attributes: AttributeFiles;
  readonly #searches = new SearchProgress();
  /** when all was read again that was to be, monotonic milliseconds; null = it is being read */
  #restoredMs: number | null = null;
  readonly #openedMs: number;
  readonly #openedUnixMs: number;
  #isFailing = false;
  #isTroubled = false;
  #isClosing = false;
  #freeBytes: number | null = null;
  /** there is less room on the disk than is to be left free */
  #isFull = false;
  /** a write has just failed for lack of room: the oldest segment has to go */
  #needsRoom = false;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #evictedBodies = 0;
  #evictedTraces = 0;
  /** number of the last segment whose bodies are forgotten, or being so */
  #forgottenUpTo = 0;

  constructor(options: DiskStoreOptions, { unlock, kept, incidents }: DiskStoreParts) {
    const { sealer, onNotice, files = nodeFiles } = options;
    this.#options = options;
    this.#unlock = unlock;
    this.#openedMs = options.clock.monotonicMs();
    this.#openedUnixMs = unixMsOf(options.clock);
    this.#kept = kept;
    this.#incidents = incidents;
    this.#reader = new TraceReader(options, kept);
    this.#losses = new Losses(onNotice);
    this.#sealed = new SealedSegments({ files, sealer, losses: this.#losses, onNotice });
    this.#runs = new SummaryRuns({ files, sealer, onNotice });
    this.#attributes = new AttributeFiles({ files, sealer, onNotice });
  }

  async open(): Promise<void> {
    for (const signal of signals) this.#logs.set(signal, await this.#openLog(signal));
    const { segments } = this.#log("traces");
    for (const path of await removeLeftovers(this.#options.folder, segments)) {
      // An index is removed before its segment: whoever removed this segment was not us.
      if (path.endsWith(".index")) this.#losses.noteMissing(path, await this.#sealed.countsIn(path));
      await unlink(path).catch(ignoreMissing);
    }
    for (const segment of segments) {
      await this.#sealed.open(segment);
      if (!(await this.#runs.find(segment))) this.#runs.begin(segment);
    }
    // where they have to be made, those of the newest are asked for first
    for (const segment of segments.toReversed()) await this.#attributes.open(segment);
    await this.#look();
    this.#timer = setInterval(() => void this.#look(), lookMs);
    this.#timer.unref();
  }

  async append(received: ReceivedBody, decoded: Decoded): Promise<void> {
    if (this.#isFull) throw tooFull();
    const { signal, encoding, body, gzip = await packed(body) } = received;
    const entry = { encoding, isGzip: true, stored: gzip, plainBytes: body.length, items: itemsOf(decoded) };
    const place = await this.#log(signal).append(entry);
    this.#noteWorks();
    if (decoded.signal !== "traces") return;
    const { table } = decoded;
    this.#noteSpans(place, table);
    const range = { start: place.offset, end: place.offset + headBytes + gzip.length };
    this.#attributes.note(place.segment, { ...range, encoding, plain: body, table });
  }

  async readTrace(traceId: TraceId): Promise<readonly RowRef[]> {
    return this.#reader.readTrace(traceId, await this.#parts(traceId));
  }

  async readForAnalysis(traceId: TraceId): Promise<readonly RowRef[]> {
    return this.#reader.readForAnalysis(traceId, await this.#parts(traceId));
  }

  async keepTraces(traceIds: readonly TraceId[]): Promise<void> {
    for (const traceId of traceIds) {
      const rows = await this.readTrace(traceId);
      await this.#tryOnDisk(() => this.#kept.put(traceId, rows));
    }
  }

  keptIncidents(): readonly KeptIncident[] {
    return this.#incidents.left;
  }

  keepIncident(kept: KeptIncident): Promise<void> {
    return this.#tryOnDisk(() => this.#incidents.keep(kept));
  }

  forgetIncident(id: string): Promise<void> {
    return this.#tryOnDisk(() => this.#incidents.forget(id));
  }

  async putSummary(summary: TraceSummary): Promise<void> {
    const words = wordsOfHex(summary.traceId);
    const hash = traceHash(words, 0);
    const inMemory = this.#index.newest(words)?.source.segment;
    const segment = inMemory ?? (await this.#newestSealedWith(hash));
    if (segment === null) return;
    if (!this.#runs.isClosed(segment.number) && !this.#runs.countsLater(summary.traceId, segment)) {
      this.#runs.put(summary, segment, this.#mayBeInOlderRun(hash, segment));
      return;
    }
    // It is folded again after a start, or so late that the summaries of its segment were written, now or before, without it.
    if (this.#restoredMs === null && (await this.#runs.holds(summary, segment))) return;
    const newest = this.#log("traces").segments.at(-1);
    if (newest !== undefined && !this.#runs.isClosed(newest.number)) this.#runs.put(summary, newest, true);
  }

  search(query: TraceQuery): Promise<TracePage> {
    return (query.attributes ?? []).length === 0 ? this.#runs.search(query) : this.#searchBlocks(query);
  }

  #searchBlocks(query: TraceQuery): Promise<TracePage> {
    const { attributes: sought = [] } = query;
    const find = this.#runs.finder(query);
    const sources = this.#attributes.segments(sought).map(({ segment, latestMs, blocks }) => ({
      latestMs,
      open: async () =>
        (await blocks())?.map((range) => ({
          latestMs: range.latestMs,
          read: () => this.#tracesIn(segment, range, sought),
        })) ?? [{ latestMs, read: () => Promise.resolve(null) }],
    }));
    return searchBlocks(query, {
      sources,
      summaryOf: (traceId) => find(traceId, this.#segmentsWith(traceId)),
      monotonicMs: () => performance.now(),
      progress: this.#searches,
    });
  }

  /** The traces of some records of a segment of which a span has all that is sought. */
  async #tracesIn(
    segment: Segment,
    { start, end }: BlockRange,
    sought: readonly AttributeFilter[],
  ): Promise<readonly TraceId[]> {
    const found = new Set<TraceId>();
    for (const record of await this.#log("traces").readRange(segment, start, end)) {
      const plain = await plainLater(record);
      if (plain === null) this.#sealed.noteDamage(segment);
      else for (const traceId of tracesIn(plain, sought)) found.add(traceId);
    }
    return [...found];
  }

  /** Numbers of the segments that may hold spans of a trace, the newest first. */
  #segmentsWith(traceId: TraceId): readonly number[] {
    const words = wordsOfHex(traceId);
    const older = this.#sealed.candidates(traceHash(words, 0)).map(({ segment }) => segment.number);
    const newer = this.#index.find(words).map(({ body }) => body.source.segment.number);
    return [...new Set([...older, ...newer])].sort((a, b) => b - a);
  }

  async *restore(): AsyncGenerator<RestoredBody> {
    const { restoreBytesMax, restoreAgeMsMax, clock } = this.#options;
    for (const signal of signals) {
      const isTraces = signal === "traces";
      const bytesMax = isTraces ? restoreBytesMax : restoreBytesMax / 4;
      const isWanted = ({ number }: Segment): boolean => isTraces && !this.#runs.isClosed(number);
      const segments = this.#log(signal).segments.filter(({ isOld }) => isOld);
      const limits = { bytesMax, ageMsMax: restoreAgeMsMax, clock, isWanted, losses: this.#losses };
      for await (const { place, decoded, arrivalTime } of restoredBodies(segments, limits)) {
        if (decoded.signal === "traces") this.#reader.noteDecoded(sequenceOf(place), decoded.table);
        yield { decoded, arrivalTime };
      }
    }
    this.#restoredMs = clock.monotonicMs();
    this.#runs.forgetSpanCounts();
  }

  giveBack(): void {
    this.#reader.giveBack();
  }

  stats(): StoreStats {
    const logs = [...this.#logs.values()];
    const segments = logs.flatMap((log) => log.segments);
    const kept = this.#kept;
    const { records, items, bytes, tailBytes } = this.#losses.total;
    return {
      bodies: segments.reduce((sum, segment) => sum + segment.records, 0),
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
      traces: this.#runs.traceCount,
      evictedBodies: this.#evictedBodies,
      evictedTraces: this.#evictedTraces,
      keptTraces: kept.size,
      keptBytes: kept.bytes,
      evictedKeptTraces: kept.evicted,
      evictedIncidents: this.#incidents.evicted,
      lostFiles: kept.lost + this.#incidents.lost,
      lostBodies: records,
      lostItems: items,
      lostBytes: bytes,
      tornBytes: tailBytes,
      syncs: logs.reduce((sum, { syncs }) => sum + syncs.count, 0),
      syncMs: logs.reduce((sum, { syncs }) => sum + syncs.ms, 0),
      freeBytes: this.#freeBytes,
    };
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
    // With an index the next start is quicker; it is not worth a long wait.
    this.#log("traces").closeSegment();
    const waiting = new AbortController();
    await Promise.race([this.#look(), pause(closeMsMax, undefined, { signal: waiting.signal })]);
    waiting.abort();
    this.#isClosing = true;
    for (const log of this.#logs.values()) await log.close();
    const attributesClosed = this.#attributes.close();
    await this.#sealed.close();
    await attributesClosed;
    await this.#incidents.close();
    await this.#kept.close();
    this.#reader.forgetDecoded();
    await this.#unlock();
  }

  /** Unix milliseconds, without what the wall clock has jumped ahead since the start. */
  #unixMs(): number {
    const { clock } = this.#options;
    return Math.min(unixMsOf(clock), this.#openedUnixMs + clock.monotonicMs() - this.#openedMs);
  }

  #openLog(signal: Signal): Promise<SegmentedLog> {
    const { folder, syncs, clock, retention, files = nodeFiles } = this.#options;
    const { bytesMax, ageMsMax } = retention[signal];
    const share = Math.floor(bytesMax / segmentsOfRetention);
    return SegmentedLog.open({
      folder,
      signal,
      segmentBytesMax: Math.max(segmentBytesMin, Math.min(segmentBytesMax, share)),
      segmentAgeMsMax: ageMsMax / segmentsOfRetention,
      isFull: (segment) => this.#isFullOfTraces(segment),
      syncs,
      files,
      clock,
      onClosed: () => void this.#look(),
      onFailed: (error) => this.#noteFails(error),
    });
  }

  #log(signal: Signal): SegmentedLog {
    const log = this.#logs.get(signal);
    assert(log !== undefined, "the store is open");
    return log;
  }

  #noteSpans(place: Place, table: SpanTable): void {
    const { traceIds } = this.#index;
    const { traces, sequence } = this.#index.add(sequenceOf(place), place, table);
    this.#sealed.note(
      place,
      Array.from(traces, (entry) => traceHash(traceIds.wordsOf(entry), 0)),
    );
    this.#reader.noteDecoded(sequence, table);
  }

  async #parts(traceId: TraceId): Promise<readonly PartOnDisk[]> {
    const words = wordsOfHex(traceId);
    const hash = traceHash(words, 0);
    // Bodies are forgotten while others have their turn: both are looked up before that, so that none is missed or read twice.
    const candidates = this.#sealed.candidates(hash).filter(({ segment }) => !this.#isHeld(segment));
    const parts: PartOnDisk[] = [];
    for (const rows of this.#index.find(words))
      if (this.#isHeld(rows.body.source.segment)) parts.push(this.#part(rows.body.source, rows));
    if (candidates.length === 0) return parts;
    const older: PartOnDisk[] = [];
    for (const sealed of candidates)
      for (const place of await this.#sealed.find(sealed, hash)) older.push(this.#part(place, null));
    return [...older, ...parts];
  }

  #part(place: Place, rows: TracePart["rows"]): PartOnDisk {
    const { segment } = place;
    const read = async () => {
      const record = await this.#log("traces").read(place);
      const plain = record === null ? null : plainOf(record);
      if (plain === null) this.#sealed.noteDamage(segment);
      return plain;
    };
    return { sequence: sequenceOf(place), segment, rows, isCostly: true, read };
  }

  /** The newest sealed segment that holds a trace: filters alone name some that do not, and all whose index is still being made. */
  async #newestSealedWith(hash: number): Promise<Segment | null> {
    for (const sealed of this.#sealed.candidates(hash).toReversed())
      if ((await this.#sealed.find(sealed, hash)).length > 0) return sealed.segment;
    return null;
  }

  /** Whether a file of summaries may have a trace that is put into the run of this segment. */
  #mayBeInOlderRun(hash: number, { number }: Segment): boolean {
    return this.#sealed
      .candidates(hash)
      .some(({ segment }) => segment.number < number && this.#runs.isClosed(segment.number));
  }

  #noteWorks(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#options.onNotice("Telemetry can be written again.");
  }

  #noteFails(error: Error): void {
    if (!this.#isFailing)
      this.#options.onNotice(`Telemetry cannot be written and is refused until it can be: ${error.message}`);
    this.#isFailing = true;
    if (!isDiskFull(error)) return;
    this.#needsRoom = true;
    void this.#look();
  }

  /** What an incident is about must not fail for a disk that does. */
  async #tryOnDisk(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#noteTrouble(error as Error);
    }
  }

  /** What stands beside the log cannot be written: it is tried again with the next look. */
  #noteTrouble(error: Error): void {
    if (!isFileError(error)) this.#options.onFault(error);
    else if (!this.#isTroubled)
      this.#options.onNotice(
        `What is kept cannot be looked after until the disk works again: ${error.message}`,
      );
    this.#isTroubled = isFileError(error);
    this.#needsRoom ||= isDiskFull(error);
  }

  /** Does what is due: retention, indexes, summaries. Never rejects. */
  #look(): Promise<void> {
    if (this.#looking !== null) return this.#looking;
    const look = async (): Promise<void> => {
      try {
        await this.#retain();
        await this.#sealClosed();
        await this.#incidents.retry();
        this.#isTroubled = false;
      } catch (fault) {
        if (!this.#isClosing) this.#noteTrouble(fault as Error);
      }
      this.#looking = null;
    };
    this.#looking = look();
    return this.#looking;
  }

  async #retain(): Promise<void> {
    const { retention, folder, freeBytesMin, clock } = this.#options;
    for (const signal of signals) {
      const log = this.#log(signal);
      const { bytesMax, ageMsMax } = retention[signal];
      const settleMs = Math.min(settleMsMax, ageMsMax / segmentsOfRetention);
      const isSettled = clock.monotonicMs() - this.#openedMs >= settleMs;
      const isOver = (segment: Segment | undefined): boolean =>
        segment !== undefined && (isSettled || !segment.isOld) && ageMsOf(segment, clock) > ageMsMax;
      const last = log.segments.at(-1);
      if (isOver(last) || (last !== undefined && this.#isFullOfTraces(last))) log.closeSegment();
      while (log.bytes > bytesMax || isOver(log.segments[0])) if (!(await this.#dropOldest(log))) break;
    }
    await this.#kept.removeBefore(this.#unixMs() - retention.traces.ageMsMax);
    for (;;) {
      const { bavail, bsize } = await statfs(folder);
      this.#freeBytes = bavail * bsize;
      this.#isFull = this.#freeBytes < freeBytesMin;
      if (!this.#isFull && !this.#needsRoom) return;
      this.#needsRoom = false;
      if (!(await this.#dropOldestOfAll())) return;
    }
  }

  /** The newest segment of each signal stays: there is nothing that could take its place. */
  async #dropOldestOfAll(): Promise<boolean> {
    const droppable = [...this.#logs.values()].filter(({ segments }) => segments.length > 1);
    const { clock } = this.#options;
    const ages = droppable.map(({ segments: [oldest] }) =>
      oldest === undefined ? 0 : ageMsOf(oldest, clock),
    );
    const oldest = droppable[ages.indexOf(Math.max(...ages))];
    return oldest !== undefined && this.#dropOldest(oldest);
  }

  async #dropOldest(log: SegmentedLog): Promise<boolean> {
    const segment = await log.dropOldest();
    if (segment === null) return false;
    this.#evictedBodies += segment.records;
    if (segment.signal === "traces") {
      this.#evictedTraces += this.#runs.countOf(segment);
      await this.#sealed.drop(segment);
      await this.#attributes.drop(segment);
      await this.#runs.drop(segment);
      await this.#forgetBodies();
    }
    await log.removeFile(segment);
    return true;
  }

  async #sealClosed(): Promise<void> {
    const { segments } = this.#log("traces");
    this.#sealed.retry();
    this.#attributes.retry();
    for (const segment of segments) {
      if (segment.isOpen || segment.isGone || this.#sealed.has(segment)) continue;
      await this.#attributes.seal(segment);
      await this.#sealed.seal(segment);
    }
    await this.#forgetBodies();
    if (this.#restoredMs === null) return;
    // Traces that ended in a segment are folded a while after it was closed, or read again.
    const { clock, foldedAfterMs } = this.#options;
    const foldedMs = clock.monotonicMs() - foldedAfterMs;
    const older = this.#restoredMs <= foldedMs ? segments.slice(0, -1) : [];
    const done = new Set(older.filter(({ isOpen, closedMs }) => !isOpen && closedMs <= foldedMs));
    for (const segment of done) if (!this.#runs.isClosed(segment.number)) this.#runs.begin(segment);
    await this.#runs.closeThose((segment) => done.has(segment));
  }

  /** What is in an index on disk, or gone, is not needed in memory once the last traces of its segment have been folded. */
  async #forgetBodies(): Promise<void> {
    const heldSinceMs = this.#options.clock.monotonicMs() - heldMs;
    for (let count = 1; ; count += 1) {
      const oldest = this.#index.oldest();
      if (oldest === undefined) return;
      const { segment } = oldest.source;
      const isOver = this.#sealed.has(segment) && segment.closedMs <= heldSinceMs;
      if (!segment.isGone && !isOver) return;
      this.#forgottenUpTo = Math.max(this.#forgottenUpTo, segment.number);
      this.#index.removeOldest(() => {});
      this.#reader.noteGone(oldest.sequence);
      if (count % bodiesPerTurn === 0) await nextTurn();
    }
  }

  #isFullOfTraces(segment: Segment): boolean {
    return segment.signal === "traces" && this.#sealed.entryCountOf(segment) >= segmentEntriesMax;
  }

  /** Whether all bodies of a segment are in the index in memory. */
  #isHeld({ isOld, number }: Segment): boolean {
    return !isOld && number > this.#forgottenUpTo;
  }
}

interface PartOnDisk extends TracePart {
  readonly segment: Segment;
}

/** Grows with the place in the log. */
function sequenceOf({ segment, offset }: Place): number {
  return segment.number * 2 ** 32 + offset;
}

function itemsOf(decoded: Decoded): number {
  if (decoded.signal === "traces") return decoded.table.rowCount;
  return decoded.signal === "metrics" ? decoded.points.length : decoded.records.length;
}

async function packed(body: Uint8Array): Promise<Uint8Array> {
  return body.length < smallBodyBytes ? gzipSync(body, packing) : gzipLater(body, packing);
}

/** null = what is stored is whole, and no gzip */
function plainOf({ head, body }: { readonly head: RecordHead; readonly body: Buffer }): PlainBody | null {
  try {
    return { encoding: head.encoding, body: plainBodyOf(head, body) };
  } catch (error) {
    if (isZlibError(error)) return null;
    throw error;
  }
}

/** The same of a large body, unpacked in another thread. */
async function plainLater(record: StoredRecord): Promise<PlainBody | null> {
  const { head, body } = record;
  if (!head.isGzip || body.length < smallBodyBytes) return plainOf(record);
  try {
    return {
      encoding: head.encoding,
      body: await gunzipLater(body, { maxOutputLength: Math.max(1, head.plainBytes) }),
    };
  } catch (error) {
    if (isZlibError(error)) return null;
    throw error;
  }
}

function tooFull(): OperationError {
  const hint = "Send it again later; free room on the disk, or set disk_reserve.";
  return new OperationError("overloaded", "the disk is nearly full", hint);
}

function isDiskFull(error: Error): boolean {
  return isFileError(error) && (error.code === "ENOSPC" || error.code === "EDQUOT");
}
