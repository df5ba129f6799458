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
    for (const span of trace.spans) {
      if (this.#young.size >= linkTargetsMax / 2) {
        this.#old = this.#young;
        this.#young = new Generation();
      }
      const { spanId, traceId } = span.table;
      const hash = hashOf(traceId, span.row * 4);
      const maker = this.#makers.indexOf(trace, span);
      this.#young.set(
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
      const slot = generation.find(high, low, hash);
      if (slot < 0) continue;
      const value = generation.values[slot] as number;
      const durationNanos = generation.durations[slot] as number;
      return {
        ...this.#makers.at(Math.floor(value / 2)),
        failed: value % 2 === 1,
        durationNanos: Number.isNaN(durationNanos) ? null : durationNanos,
      };
    }
    return null;
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
    const destination = kind === SpanKind.Producer ? linkTargetOf(trace, span).destination : null;
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

/** An open-addressing table: at most half full, a power of two long. */
class Generation {
  size = 0;
  /** span id and hash of the trace id, 3 words a slot */
  #keys = new Uint32Array(64 * 3);
  /** 0 = free */
  #used = new Uint8Array(64);
  values = new Uint32Array(64);
  durations = new Float64Array(64);

  set(high: number, low: number, hash: number, value: number, durationNanos: number): void {
    if ((this.size + 1) * 2 > this.#used.length) this.#grow();
    const slot = this.#slotOf(high, low, hash);
    if (this.#used[slot] === 0) {
      this.#used[slot] = 1;
      this.size += 1;
    }
    this.#keys[slot * 3] = high;
    this.#keys[slot * 3 + 1] = low;
    this.#keys[slot * 3 + 2] = hash;
    this.values[slot] = value;
    this.durations[slot] = durationNanos;
  }

  /** -1 = not there */
  find(high: number, low: number, hash: number): number {
    const slot = this.#slotOf(high, low, hash);
    return this.#used[slot] === 0 ? -1 : slot;
  }

  #slotOf(high: number, low: number, hash: number): number {
    const mask = this.#used.length - 1;
    let slot = (Math.imul(low ^ hash, 0x9e3779b1) ^ high) & mask;
    while (this.#used[slot] !== 0 && !this.#isAt(slot, high, low, hash)) slot = (slot + 1) & mask;
    return slot;
  }

  #isAt(slot: number, high: number, low: number, hash: number): boolean {
    const keys = this.#keys;
    return keys[slot * 3] === high && keys[slot * 3 + 1] === low && keys[slot * 3 + 2] === hash;
  }

  #grow(): void {
    const { values, durations } = this;
    const keys = this.#keys;
    const used = this.#used;
    this.size = 0;
    this.#keys = new Uint32Array(keys.length * 2);
    this.#used = new Uint8Array(used.length * 2);
    this.values = new Uint32Array(values.length * 2);
    this.durations = new Float64Array(durations.length * 2);
    for (let slot = 0; slot < used.length; slot += 1)
      if (used[slot] !== 0)
        this.set(
          keys[slot * 3] as number,
          keys[slot * 3 + 1] as number,
          keys[slot * 3 + 2] as number,
          values[slot] as number,
          durations[slot] as number,
        );
  }
}

function hashOf(words: ArrayLike<number>, at: number): number {
  let hash = words[at] as number;
  for (let i = 1; i < 4; i += 1) hash = Math.imul(hash, 0x01000193) ^ (words[at + i] as number);
  return (hash ^ (hash >>> 15)) >>> 0;
}
