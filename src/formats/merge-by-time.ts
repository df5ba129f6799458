import { OperationError } from "../engine/errors/operation-error.ts";
import { replayFilesMax, replayMergeItemsMax } from "../model/limits.ts";
import type { ByteSource } from "./byte-source.ts";
import type { TelemetryReader, TelemetrySink } from "./read-telemetry.ts";
import { repairTimes } from "./repair-times.ts";
import { logItems, pointItems, type ReplayItem, spanItems } from "./replay-items.ts";

/**
 * The items of all inputs in order of time, as far as the memory for `replayMergeItemsMax` of them reaches: an item that stands
 * further behind in its file than that comes late. At most `replayFilesMax` files are open at once, those that begin first.
 *
 *   traces   |--1-----3--4---|        an item goes when no open file has an older one
 *   logs       |-2-------5---6--|     1 2 3 4 5 6
 */
export async function* mergeByTime(reader: TelemetryReader): AsyncGenerator<ReplayItem> {
  const waiting = await earliestFirst(reader);
  const itemsMax = Math.floor(replayMergeItemsMax / Math.min(replayFilesMax, Math.max(1, waiting.length)));
  const open = new Set<Lane>();
  try {
    for (;;) {
      while (open.size < replayFilesMax) {
        const source = waiting.shift();
        if (source === undefined) break;
        open.add(new Lane(reader, source, itemsMax));
      }
      for (const lane of open) {
        await lane.ready();
        if (lane.first === undefined) open.delete(lane);
      }
      if (open.size === 0 && waiting.length === 0) return;
      if (open.size < replayFilesMax && waiting.length > 0) continue;
      yield* run(open);
    }
  } finally {
    for (const lane of open) lane.stop();
  }
}

/** Items in order, until a file has to be read on or is at its end. */
function* run(open: ReadonlySet<Lane>): Generator<ReplayItem> {
  for (;;) {
    let next: Lane | undefined;
    for (const lane of open)
      if (next?.first === undefined || (lane.first !== undefined && lane.first.time < next.first.time))
        next = lane;
    const item = next?.first;
    if (next === undefined || item === undefined) return;
    yield item;
    if (!next.advance()) return;
  }
}

/** Files that need not all be open at once are looked into, so that those that begin first are read first. */
async function earliestFirst(reader: TelemetryReader): Promise<ByteSource[]> {
  const sources = [...reader.sources];
  if (sources.length <= replayFilesMax) return sources;
  const starts = new Map<ByteSource, bigint>();
  // A pipe can be read only once: it counts as the earliest.
  for (const source of sources) starts.set(source, source.size === null ? 0n : await startOf(reader, source));
  return sources.sort((a, b) => Number((starts.get(a) ?? 0n) - (starts.get(b) ?? 0n)));
}

/** Stops the reading of a file of which enough is known. */
class Found extends Error {
  readonly time: bigint;

  constructor(time: bigint) {
    super("the first time of a file is known");
    this.time = time;
  }
}

/** The oldest time of the first items of a file, 0 where there are none. */
async function startOf(reader: TelemetryReader, source: ByteSource): Promise<bigint> {
  const find = (items: readonly ReplayItem[]): void => {
    const times = items.map(({ time }) => time).filter((time) => time > 0n);
    if (times.length > 0) throw new Found(times.sort((a, b) => Number(a - b))[0] ?? 0n);
  };
  try {
    await reader.peek(
      source,
      itemSink(find, () => {}),
    );
  } catch (error) {
    if (error instanceof Found) return error.time;
    // Said of the file when its turn comes.
    if (!(error instanceof OperationError)) throw error;
  }
  return 0n;
}

/** Spans, points and records as items, times repaired. */
export function itemSink(
  take: (items: ReplayItem[]) => void | Promise<void>,
  problem: TelemetrySink["problem"],
): TelemetrySink {
  return {
    traces(table) {
      for (const repaired of repairTimes(table)) problem(repaired);
      return take(spanItems(table));
    },
    metrics: (points) => take(pointItems(points)),
    logs: (records) => take(logItems(records)),
    problem,
  };
}

function compareItems(a: ReplayItem, b: ReplayItem): number {
  return a.time < b.time ? -1 : a.time > b.time ? 1 : 0;
}

/** One file that is read as far as `itemsMax` items, and on when half of them are gone. */
class Lane {
  readonly #itemsMax: number;
  #items: ReplayItem[] = [];
  #at = 0;
  #isEnded = false;
  #failure: unknown = null;
  #isStopped = false;
  /** lets the reader go on, where it waits */
  #resume: (() => void) | null = null;
  /** tells who waits for items that there are enough, or that no more will come */
  #announce: (() => void) | null = null;

  constructor(reader: TelemetryReader, source: ByteSource, itemsMax: number) {
    this.#itemsMax = itemsMax;
    const sink = itemSink((items) => this.#add(items), reader.problem);
    reader
      .read(source, sink)
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#isEnded = true;
        this.#announce?.();
      });
  }

  /** The oldest of the items that have been read and not yet taken. */
  get first(): ReplayItem | undefined {
    return this.#items[this.#at];
  }

  /** Resolves when `first` is the oldest as far as one can see, or there is none. */
  async ready(): Promise<void> {
    if (!this.#isEnded && this.#resume === null)
      await new Promise<void>((resolve) => {
        this.#announce = resolve;
      });
    this.#announce = null;
    if (this.#failure !== null) throw this.#failure;
  }

  /** Takes the first item; whether the next one is ready at once. */
  advance(): boolean {
    this.#at += 1;
    const left = this.#items.length - this.#at;
    if (this.#isEnded) return left > 0;
    if (left > this.#itemsMax / 2) return true;
    this.#resume?.();
    this.#resume = null;
    return false;
  }

  /** Ends the reading, of a pipe with its next chunk. */
  stop(): void {
    this.#isStopped = true;
    this.#resume?.();
  }

  async #add(items: readonly ReplayItem[]): Promise<void> {
    this.#throwIfStopped();
    this.#items = this.#items.slice(this.#at).concat(items).sort(compareItems);
    this.#at = 0;
    if (this.#items.length < this.#itemsMax) return;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      this.#announce?.();
    });
    this.#throwIfStopped();
  }

  #throwIfStopped(): void {
    if (this.#isStopped) throw new Error("the merge was stopped");
  }
}
