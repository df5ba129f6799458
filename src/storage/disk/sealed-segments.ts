import { unlink } from "node:fs/promises";
import { mapEntry } from "../../base/map-entry.ts";
import { HashFilter } from "./hash-filter.ts";
import type { LogFile, LogFiles } from "./log-files.ts";
import type { Losses } from "./losses.ts";
import { type IndexTask, type Sealer, TraceEntries } from "./sealing.ts";
import { besides, ignoreMissing, isFileError, type Place, type Segment } from "./segmented-log.ts";
import { type IndexCounts, IndexDamage, TraceIndex } from "./trace-index.ts";

interface Sealed {
  readonly segment: Segment;
  /** null while it is made, and where it could not be made */
  index: TraceIndex | null;
  making: Promise<void> | null;
  /** of the last index that could be read */
  counts: IndexCounts | null;
  /** it was said that its index cannot be made */
  isTold: boolean;
  /** the filter of its group knows its traces */
  isCovered: boolean;
}

/** Segments that are asked together whether they hold a trace. */
interface Group {
  readonly members: Set<Sealed>;
  readonly filter: HashFilter;
}

const segmentsPerGroup = 16;
/** 2 MiB: 16 bits for each trace of as many segments of 64 MiB; where there are more, members are asked more often. */
const groupFilterWords = 512 * 1024;

export interface SealedSegmentsOptions {
  readonly files: LogFiles;
  readonly sealer: Sealer;
  readonly losses: Losses;
  readonly onNotice: (message: string) => void;
}

/** Segments of spans whose traces are found by an index on disk. An index that is missing or damaged is made again from its segment. */
export class SealedSegments {
  readonly #options: SealedSegmentsOptions;
  /** by number, in order */
  readonly #sealed = new Map<number, Sealed>();
  /** what is noted of segments that are still written */
  readonly #entries = new Map<number, TraceEntries>();
  readonly #groups = new Map<number, Group>();
  #covering: Promise<void> = Promise.resolve();
  #isClosing = false;

  constructor(options: SealedSegmentsOptions) {
    this.#options = options;
  }

  /** Takes up a segment that an earlier process has written; what has to be made anew is made in the background. */
  async open(segment: Segment): Promise<void> {
    const { bytes } = segment;
    const index = await this.#read(segment);
    const sealed = newSealed(segment, index);
    this.#include(sealed);
    // One that is not as long as it was has to be looked at.
    if (index?.counts.bytes !== bytes) void this.#make(sealed);
  }

  /** What an index says was in its segment; null = it is damaged. */
  async countsIn(path: string): Promise<IndexCounts | null> {
    const index = await this.#readAt(path);
    await index?.close();
    return index?.counts ?? null;
  }

  has({ number }: Segment): boolean {
    return this.#sealed.has(number);
  }

  /** A record that was just written holds traces with these hashes. */
  note({ segment, offset }: Place, hashes: Iterable<number>): void {
    let entries = this.#entries.get(segment.number);
    if (entries === undefined) {
      entries = new TraceEntries();
      this.#entries.set(segment.number, entries);
    }
    entries.add(offset, hashes);
  }

  /** How many traces the records of a segment hold that has no index yet, those of each counted by themselves. */
  entryCountOf({ number }: Segment): number {
    return this.#entries.get(number)?.count ?? 0;
  }

  /** Makes the index of a segment that takes nothing more; until then it is not one of ours. Rejects where the disk does not take it. */
  async seal(segment: Segment): Promise<void> {
    const entries = this.#entries.get(segment.number)?.take() ?? new Uint32Array(0);
    const { records, items, bytes, isTrusted } = segment;
    const known = isTrusted ? { entries, records, items, bytes } : null;
    await this.#write(segment, { known, before: null });
    this.#entries.delete(segment.number);
    const index = await this.#read(segment);
    const sealed = newSealed(segment, index);
    if (segment.isGone) await this.#forget(sealed);
    else this.#include(sealed);
  }

  /** Tries again what could not be made. */
  retry(): void {
    for (const sealed of this.#sealed.values())
      if (sealed.index === null && sealed.making === null) void this.#make(sealed);
  }

  /** The segments that may hold a trace, oldest first, as they are now. */
  candidates(hash: number): readonly Sealed[] {
    const found: Sealed[] = [];
    for (const { filter, members } of this.#groups.values()) {
      const isPossible = filter.mayHold(hash);
      for (const sealed of members)
        if ((isPossible || !sealed.isCovered) && sealed.index?.mayHold(hash) !== false) found.push(sealed);
    }
    return found;
  }

  /** Records of a segment that hold the trace, or one with the same hash. */
  async find(sealed: Sealed, hash: number): Promise<readonly Place[]> {
    await sealed.making;
    const { segment } = sealed;
    try {
      const offsets = (await sealed.index?.find(hash)) ?? [];
      return offsets.map((offset) => ({ segment, offset }));
    } catch (error) {
      if (!(error instanceof IndexDamage) && !isFileError(error)) throw error;
      if (segment.isGone) return [];
      await this.#make(sealed);
      return ((await sealed.index?.find(hash)) ?? []).map((offset) => ({ segment, offset }));
    }
  }

  /** A record of the segment turned out to be damaged: the segment is read through, so that all that is lost is known and no more asked for. */
  noteDamage({ number, isGone }: Segment): void {
    const sealed = this.#sealed.get(number);
    if (sealed !== undefined && !isGone && !this.#isClosing && sealed.making === null)
      void this.#make(sealed);
  }

  /** The segment is gone. */
  async drop({ number }: Segment): Promise<void> {
    this.#entries.delete(number);
    const sealed = this.#sealed.get(number);
    this.#sealed.delete(number);
    const group = this.#groups.get(groupOf(number));
    if (sealed !== undefined) group?.members.delete(sealed);
    if (group?.members.size === 0) this.#groups.delete(groupOf(number));
    if (sealed === undefined) return;
    // An index that is being made must not outlive its segment.
    await sealed.making;
    await this.#forget(sealed);
  }

  /** What is being made is given up; the next start makes it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#options.sealer.close();
    await this.#covering;
    for (const sealed of this.#sealed.values()) {
      await sealed.making;
      await sealed.index?.close();
    }
  }

  #include(sealed: Sealed): void {
    const { number } = sealed.segment;
    this.#sealed.set(number, sealed);
    const group = mapEntry(this.#groups, groupOf(number), () => ({
      members: new Set<Sealed>(),
      filter: new HashFilter(new Uint32Array(groupFilterWords)),
    }));
    group.members.add(sealed);
    this.#cover(sealed);
  }

  /** Makes the traces of a segment known to its group, in the background: with many segments most are left out by one look. */
  #cover(sealed: Sealed): void {
    const cover = async (): Promise<void> => {
      const { index, segment } = sealed;
      const group = this.#groups.get(groupOf(segment.number));
      if (index === null || group === undefined) return;
      try {
        for await (const hashes of index.hashes()) {
          if (this.#isClosing || segment.isGone) return;
          for (const hash of hashes) group.filter.add(hash);
        }
        sealed.isCovered = true;
      } catch (error) {
        if (!(error instanceof IndexDamage) && !isFileError(error)) throw error;
        if (!segment.isGone && !this.#isClosing) void this.#make(sealed);
      }
    };
    this.#covering = this.#covering.then(cover);
  }

  async #forget({ segment, index }: Sealed): Promise<void> {
    await index?.close();
    await unlink(besides(segment, "index")).catch(ignoreMissing);
  }

  /** Makes an index from its segment. Never rejects. */
  #make(sealed: Sealed): Promise<void> {
    const make = async (): Promise<void> => {
      const { segment } = sealed;
      try {
        await this.#write(segment, { known: null, before: sealed.counts });
        const before = sealed.index;
        sealed.index = await this.#read(segment);
        sealed.counts = sealed.index?.counts ?? sealed.counts;
        sealed.isCovered = false;
        this.#cover(sealed);
        await before?.close();
      } catch (error) {
        if (!segment.isGone && !this.#isClosing) this.#tellOf(sealed, error as Error);
      }
      sealed.making = null;
      if (segment.isGone) await this.#forget(sealed);
    };
    sealed.making ??= make();
    return sealed.making;
  }

  #tellOf(sealed: Sealed, { message }: Error): void {
    if (sealed.isTold) return;
    sealed.isTold = true;
    this.#options.onNotice(
      `${sealed.segment.path} cannot be indexed, and its traces are not found until it can be: ${message}`,
    );
  }

  async #write(segment: Segment, about: Pick<IndexTask, "known" | "before">): Promise<void> {
    const { path, mark } = segment;
    const task = {
      kind: "index",
      path: besides(segment, "index"),
      segment: { path, mark },
      ...about,
    } as const;
    const { loss } = await this.#options.sealer.seal(task);
    this.#options.losses.note(segment, loss);
  }

  /** null = there is none, or it is damaged */
  async #read(segment: Segment): Promise<TraceIndex | null> {
    const index = await this.#readAt(besides(segment, "index"));
    if (index !== null) Object.assign(segment, { records: index.counts.records, items: index.counts.items });
    return index;
  }

  async #readAt(path: string): Promise<TraceIndex | null> {
    let file: LogFile | null = null;
    try {
      file = await this.#options.files.open(path);
      return await TraceIndex.open(file);
    } catch (error) {
      await file?.close();
      if (error instanceof IndexDamage || isFileError(error)) return null;
      throw error;
    }
  }
}

function newSealed(segment: Segment, index: TraceIndex | null): Sealed {
  return { segment, index, making: null, counts: index?.counts ?? null, isTold: false, isCovered: false };
}

function groupOf(number: number): number {
  return Math.floor(number / segmentsPerGroup);
}
