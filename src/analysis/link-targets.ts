import { grow } from "../base/grow.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { linkTargetsMax } from "../model/limits.ts";
import { SpanKind } from "../model/span-table.ts";
import type { LinkTarget } from "../trace/calls.ts";
import { linkTargetOf } from "../trace/extract-calls.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";

/**
 * The spans that links of other traces may point to: the latest `linkTargetsMax`, in two generations of columns of which
 * the older one is dropped when the younger is full. Ids are compared by span id and a hash of the trace id.
 */
export class LinkTargets {
  readonly #makers = new Makers();
  #young = new Generation();
  #old = new Generation();

  addTrace(trace: Trace): void {
    const [first] = trace.spans;
    if (first === undefined) return;
    const hash = hashOf(first.table.traceId, first.row * 4);
    for (const span of trace.spans) {
      if (this.#young.size >= linkTargetsMax / 2) {
        this.#old = this.#young;
        this.#young = new Generation();
      }
      const { spanId } = span.table;
      const maker = this.#makers.indexOf(trace, span);
      this.#young.add(
        spanId[span.row * 2] as number,
        spanId[span.row * 2 + 1] as number,
        hash,
        maker * 2 + (span.failed ? 1 : 0),
        span.isUnfinished ? Number.NaN : durationOf(span),
      );
    }
  }

  /** `traceWords` and `spanWords` as `wordsOfHex` gives them. */
  find(traceWords: readonly number[], spanWords: readonly number[]): LinkTarget | null {
    const [high = 0, low = 0] = spanWords;
    const hash = hashOf(traceWords, 0);
    for (const generation of [this.#young, this.#old]) {
      const at = generation.find(high, low, hash);
      if (at < 0) continue;
      const value = generation.values[at] as number;
      const durationNanos = generation.durations[at] as number;
      return {
        ...this.#makers.at(Math.floor(value / 2)),
        failed: value % 2 === 1,
        durationNanos: Number.isNaN(durationNanos) ? null : durationNanos,
      };
    }
    return null;
  }

  save(out: SnapshotWriter): void {
    for (const part of [this.#makers, this.#young, this.#old]) part.save(out);
  }

  load(from: SnapshotReader): void {
    for (const part of [this.#makers, this.#young, this.#old]) part.load(from);
  }
}

type Maker = Pick<LinkTarget, "service" | "destination">;

/** Who made spans and where to, numbered. */
class Makers {
  readonly #all: Maker[] = [];
  /** service -> destination, "" = none */
  readonly #byService = new Map<string, Map<string, number>>();

  at(index: number): Maker {
    return this.#all[index] ?? { service: "", destination: null };
  }

  indexOf(trace: Trace, span: TraceSpan): number {
    const { service, kind } = span;
    const maySend = kind === SpanKind.Producer || kind === SpanKind.Client;
    const destination = maySend ? linkTargetOf(trace, span).destination : null;
    return this.#indexOf({ service, destination });
  }

  save(out: SnapshotWriter): void {
    out.list(this.#all, ({ service, destination }) => {
      out.text(service);
      out.optional(destination, (name) => out.text(name));
    });
  }

  load(from: SnapshotReader): void {
    const read = (): Maker => ({ service: from.text(), destination: from.optional(() => from.text()) });
    for (const maker of from.list(read)) this.#indexOf(maker);
  }

  #indexOf({ service, destination }: Maker): number {
    let byDestination = this.#byService.get(service);
    if (byDestination === undefined) {
      byDestination = new Map();
      this.#byService.set(service, byDestination);
    }
    const known = byDestination.get(destination ?? "");
    if (known !== undefined) return known;
    byDestination.set(destination ?? "", this.#all.length);
    this.#all.push({ service, destination });
    return this.#all.length - 1;
  }
}

/** Spans in the order in which they came. They are indexed when one is looked for: most telemetry has no links. */
class Generation {
  size = 0;
  values = new Uint32Array(64);
  durations = new Float64Array(64);
  /** span id and hash of the trace id, 3 words a span */
  #keys = new Uint32Array(64 * 3);
  /** open addressing: place + 1, 0 = free; a power of two long, at most half full */
  #slots = new Uint32Array(128);
  #indexed = 0;

  add(high: number, low: number, hash: number, value: number, durationNanos: number): void {
    const at = this.size;
    if (at === this.values.length) {
      this.values = grow(this.values, at + 1);
      this.durations = grow(this.durations, at + 1);
      this.#keys = grow(this.#keys, this.values.length * 3);
    }
    this.#keys[at * 3] = high;
    this.#keys[at * 3 + 1] = low;
    this.#keys[at * 3 + 2] = hash;
    this.values[at] = value;
    this.durations[at] = durationNanos;
    this.size = at + 1;
  }

  /** The place of the latest span with these ids, -1 = not there. */
  find(high: number, low: number, hash: number): number {
    this.#index();
    return (this.#slots[this.#slotOf(high, low, hash)] as number) - 1;
  }

  save(out: SnapshotWriter): void {
    out.column(this.values.subarray(0, this.size));
    out.column(this.durations.subarray(0, this.size));
    out.column(this.#keys.subarray(0, this.size * 3));
  }

  load(from: SnapshotReader): void {
    this.values = from.column(Uint32Array);
    this.durations = from.column(Float64Array);
    this.#keys = from.column(Uint32Array);
    this.size = this.values.length;
  }

  #index(): void {
    if (this.size * 2 > this.#slots.length) {
      let capacity = this.#slots.length;
      while (capacity < this.size * 2) capacity *= 2;
      this.#slots = new Uint32Array(capacity);
      this.#indexed = 0;
    }
    const keys = this.#keys;
    for (let at = this.#indexed; at < this.size; at += 1) {
      const slot = this.#slotOf(
        keys[at * 3] as number,
        keys[at * 3 + 1] as number,
        keys[at * 3 + 2] as number,
      );
      this.#slots[slot] = at + 1;
    }
    this.#indexed = this.size;
  }

  #slotOf(high: number, low: number, hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = (Math.imul(low ^ hash, 0x9e3779b1) ^ high) & mask;
    for (;;) {
      const entry = this.#slots[slot] as number;
      if (entry === 0 || this.#isAt(entry - 1, high, low, hash)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isAt(at: number, high: number, low: number, hash: number): boolean {
    const keys = this.#keys;
    return keys[at * 3] === high && keys[at * 3 + 1] === low && keys[at * 3 + 2] === hash;
  }
}

function hashOf(words: ArrayLike<number>, at: number): number {
  let hash = words[at] as number;
  for (let i = 1; i < 4; i += 1) hash = Math.imul(hash, 0x01000193) ^ (words[at + i] as number);
  return (hash ^ (hash >>> 15)) >>> 0;
}
