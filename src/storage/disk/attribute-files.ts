import { unlink } from "node:fs/promises";
import type { AttributeFilter } from "../../engine/ports.ts";
import { hashesOfSought } from "../../otlp/attribute-hashes.ts";
import {
  type AttributeBlocks,
  type AttributeFileFront,
  attributeFrontBytes,
  attributeHeaderBytes,
  BlockBuilder,
  type BlockRange,
  type BlockRecord,
  mayHold,
  readAttributeFront,
  readFilters,
} from "./attribute-blocks.ts";
import type { LogFile, LogFiles } from "./log-files.ts";
import type { Sealer } from "./sealing.ts";
import { besides, ignoreMissing, isFileError, type Segment } from "./segmented-log.ts";

interface Closed {
  readonly segment: Segment;
  /** null while it is made, and where it could not be made */
  front: AttributeFileFront | null;
  making: Promise<void> | null;
  /** it was said that it cannot be made */
  isTold: boolean;
}

export interface AttributeFilesOptions {
  readonly files: LogFiles;
  readonly sealer: Sealer;
  readonly onNotice: (message: string) => void;
}

/** Filters that are held in memory of files that were asked lately, two bytes for each of their spans. */
const filterBytesMax = 64 * 1024 * 1024;

/** Of a segment whose blocks are not known, the spans may be later than the segment by what a clock may be believed to be ahead. */
const aheadMsMax = 3_600_000;

/** Which blocks of the segments of spans may hold an attribute: of closed ones by a file beside each, which is made again where it is missing or damaged. */
export class AttributeFiles {
  readonly #options: AttributeFilesOptions;
  /** of segments that are written, or were and have no file yet */
  readonly #open = new Map<number, { readonly segment: Segment; readonly builder: BlockBuilder }>();
  readonly #closed = new Map<number, Closed>();
  /** by segment, the least recently asked first */
  readonly #filters = new Map<number, readonly Uint32Array[]>();
  #filterBytes = 0;
  #isClosing = false;

  constructor(options: AttributeFilesOptions) {
    this.#options = options;
  }

  /** Takes up a segment that an earlier process has written; what has to be made anew is made in the background. */
  async open(segment: Segment): Promise<void> {
    const front = await this.#readFront(segment);
    const isWhole = front?.segmentBytes === segment.bytes;
    const closed: Closed = { segment, front: isWhole ? front : null, making: null, isTold: false };
    this.#closed.set(segment.number, closed);
    if (!isWhole) this.#make(closed);
  }

  /** A record was written. */
  note(segment: Segment, record: BlockRecord): void {
    let open = this.#open.get(segment.number);
    if (open === undefined) {
      open = { segment, builder: new BlockBuilder() };
      this.#open.set(segment.number, open);
    }
    open.builder.add(record);
  }

  /** Writes the file of a segment that takes nothing more. Rejects where the disk does not take it. */
  async seal(segment: Segment): Promise<void> {
    const open = this.#open.get(segment.number);
    const known = segment.isTrusted && open !== undefined ? open.builder.take() : null;
    await this.#write(segment, known);
    const front = await this.#readFront(segment);
    this.#open.delete(segment.number);
    if (segment.isGone) await unlink(besides(segment, "attributes")).catch(ignoreMissing);
    else this.#closed.set(segment.number, { segment, front, making: null, isTold: false });
  }

  /** Tries again what could not be made. */
  retry(): void {
    for (const closed of this.#closed.values()) if (closed.front === null) this.#make(closed);
  }

  /** The segment is gone. */
  async drop(segment: Segment): Promise<void> {
    this.#open.delete(segment.number);
    this.#closed.delete(segment.number);
    this.#forgetFilters(segment.number);
    await unlink(besides(segment, "attributes")).catch(ignoreMissing);
  }

  /** What is being made is given up; the next start makes it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const { making } of this.#closed.values()) await making;
  }

  /**
   * The segments as they are now: when the latest of their traces is found, and the blocks in which the sought may be; null = they
   * are not known yet.
   */
  segments(sought: readonly AttributeFilter[]): readonly {
    readonly segment: Segment;
    readonly latestMs: number;
    readonly blocks: () => Promise<readonly BlockRange[] | null>;
  }[] {
    const hashes = sought.map(hashesOfSought);
    const open = [...this.#open.values()].map(({ segment, builder }) => {
      const blocks = builder.take();
      const latestMs = latestOf(blocks.ranges);
      return { segment, latestMs, blocks: () => Promise.resolve(passing(blocks, hashes)) };
    });
    const closed = [...this.#closed.values()].map((each) => ({
      segment: each.segment,
      latestMs: each.front === null ? each.segment.changedMs + aheadMsMax : latestOf(each.front.ranges),
      blocks: () => this.#blocksOf(each, hashes),
    }));
    return [...closed, ...open];
  }

  async #blocksOf(
    closed: Closed,
    hashes: readonly (readonly number[] | null)[],
  ): Promise<readonly BlockRange[] | null> {
    const { segment, front } = closed;
    if (front === null) return segment.isGone ? [] : null;
    const filters = this.#filters.get(segment.number) ?? (await this.#readFilters(segment, front));
    if (filters !== null) {
      this.#keepFilters(segment.number, filters);
      return passing({ ranges: front.ranges, filters }, hashes);
    }
    if (segment.isGone || this.#isClosing) return [];
    closed.front = null;
    this.#make(closed);
    // Where blocks begin is known all the same.
    return front.ranges;
  }

  #keepFilters(number: number, filters: readonly Uint32Array[]): void {
    this.#forgetFilters(number);
    this.#filters.set(number, filters);
    this.#filterBytes += bytesOf(filters);
    for (const oldest of this.#filters.keys()) {
      if (this.#filterBytes <= filterBytesMax || oldest === number) break;
      this.#forgetFilters(oldest);
    }
  }

  #forgetFilters(number: number): void {
    this.#filterBytes -= bytesOf(this.#filters.get(number) ?? []);
    this.#filters.delete(number);
  }

  /** Makes a file from its segment. */
  #make(closed: Closed): void {
    const make = async (): Promise<void> => {
      const { segment } = closed;
      try {
        await this.#write(segment, null);
        closed.front = await this.#readFront(segment);
      } catch (error) {
        if (!segment.isGone && !this.#isClosing) this.#tellOf(closed, error as Error);
      }
      closed.making = null;
      if (segment.isGone) await unlink(besides(segment, "attributes")).catch(ignoreMissing);
    };
    closed.making ??= make();
  }

  #tellOf(closed: Closed, { message }: Error): void {
    if (closed.isTold) return;
    closed.isTold = true;
    this.#options.onNotice(
      `${closed.segment.path} cannot be looked through yet, and searches by attribute end before it: ${message}`,
    );
  }

  async #write(segment: Segment, known: AttributeBlocks | null): Promise<void> {
    const { path, mark, bytes } = segment;
    const about = { path: besides(segment, "attributes"), segment: { path, mark, bytes } };
    await this.#options.sealer.seal({ kind: "attributes", ...about, known });
  }

  /** null = there is none, or it is damaged */
  #readFront(segment: Segment): Promise<AttributeFileFront | null> {
    return this.#reading(segment, async (file) => {
      const length = attributeFrontBytes(await file.read(0, attributeHeaderBytes));
      return length === null ? null : readAttributeFront(await file.read(0, length));
    });
  }

  #readFilters(segment: Segment, front: AttributeFileFront): Promise<readonly Uint32Array[] | null> {
    const length = (front.wordStarts.at(-1) ?? 0) * 4;
    return this.#reading(segment, async (file) => readFilters(await file.read(front.wordsAt, length), front));
  }

  /** null where the file does not let itself be read */
  async #reading<Result>(
    segment: Segment,
    read: (file: LogFile) => Promise<Result | null>,
  ): Promise<Result | null> {
    try {
      const file = await this.#options.files.open(besides(segment, "attributes"));
      try {
        return await read(file);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isFileError(error)) return null;
      throw error;
    }
  }
}

function passing(
  { ranges, filters }: AttributeBlocks,
  hashes: readonly (readonly number[] | null)[],
): readonly BlockRange[] {
  return ranges.filter((_, i) => {
    const words = filters[i] ?? new Uint32Array(0);
    return hashes.every((each) => each === null || mayHold(words, each));
  });
}

function latestOf(ranges: readonly BlockRange[]): number {
  return ranges.reduce((latest, { latestMs }) => Math.max(latest, latestMs), 0);
}

function bytesOf(filters: readonly Uint32Array[]): number {
  return filters.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
