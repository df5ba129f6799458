import type { FindingId } from "../advice/doctor-texts.ts";
import { textHash } from "../base/text-hash.ts";
import type { TraceId } from "../model/ids.ts";
import {
  clocksPerServiceMax,
  edgesMax,
  findingPlacesMax,
  nameTemplatesMax,
  rootOperationsMax,
  servicesMax,
} from "../model/limits.ts";
import { type RowRef, spanIdOf } from "../trace/trace.ts";

/**
 * What the doctor has counted. Every part gives the same sums whatever the order of traces: what is bounded keeps the
 * smallest keys, and what is among the smallest of all was so at any time.
 */
export class DoctorSums {
  readonly services = new SmallestKeys(servicesMax, () => new ServiceSums());
  /** by caller and callee, see `pairKey` */
  readonly pairs = new SmallestKeys(edgesMax, () => new PairSums());
  /** by service and operation of the root span */
  readonly rootOperations = new SmallestKeys(rootOperationsMax, () => new RootOperationSums());
  /** what concerns no service alone */
  readonly all = new Tallies();
  /** the most requests that one sampled trace stands for */
  weightMax = 1;
  /** names of policies that tail samplers kept traces by */
  readonly samplingPolicies = new SmallestKeys(relatedMax, () => true);
  traces = 0;
  spans = 0;
}

/** Counts of each finding, with the places that show it. */
export class Tallies {
  readonly #tallies = new Map<FindingId, Tally>();

  note(id: FindingId, traceId: TraceId, span: RowRef, count = 1): void {
    const tally = this.of(id);
    tally.count += count;
    tally.places.add(traceId, span);
  }

  of(id: FindingId): Tally {
    let tally = this.#tallies.get(id);
    if (tally === undefined) {
      tally = new Tally();
      this.#tallies.set(id, tally);
    }
    return tally;
  }
}

export class Tally {
  count = 0;
  readonly places = new Places();
}

export class ServiceSums extends Tallies {
  spans = 0;
  /** spans that name a parent */
  children = 0;
  /** requests from other services */
  entries = 0;
  /** spans that call another service or peer, or are called by one */
  boundarySpans = 0;
  /** requests that came without a parent */
  rootRequests = 0;
  /** traces that begin here */
  rootTraces = 0;
  /** internal spans that name a far side */
  internalCalls = 0;
  callsToServices = 0;
  failures = 0;
  /** spans with names that have an old and a new form */
  conventionSpans = 0;
  /** how often each was sent; there are only as many as semconv.ts lists */
  readonly oldNames = new Map<string, number>();
  readonly openTracingNames = new Map<string, number>();
  /** services that it calls without a client span */
  readonly calledWithoutClient = new SmallestKeys(relatedMax, () => true);
  readonly dropped = { attributes: 0, events: 0, links: 0 };
  readonly names = new DistinctCount();
  readonly nameTemplates = new SmallestKeys(nameTemplatesMax, () => new TemplateSums());
  readonly attributeTemplates = new SmallestKeys(nameTemplatesMax, () => new TemplateSums());
  /** by host */
  readonly clocks = new SmallestKeys(clocksPerServiceMax, () => new ClockSums());
}

/** Names that are alike but for ids in them. */
export class TemplateSums extends Tally {
  /** of the names */
  readonly names = new DistinctCount();
}

/** Other services that a finding names; the first by name. */
export const relatedMax = 5;

/** The spans of a host; those that had to be moved are the tally. */
export class ClockSums extends Tally {
  spans = 0;
  /** what was added to their times, nanoseconds */
  least = Number.POSITIVE_INFINITY;
  most = Number.NEGATIVE_INFINITY;

  addShifted(traceId: TraceId, span: RowRef, shift: number): void {
    this.count += 1;
    this.places.add(traceId, span);
    this.least = Math.min(this.least, shift);
    this.most = Math.max(this.most, shift);
  }
}

/** Calls of one service to another. */
class PairSums {
  answered = 0;
  /** calls that succeeded, though no span of the callee belongs to them */
  readonly unanswered = new Tally();
}

/** Traces of one root operation in which nothing failed. */
class RootOperationSums {
  traces = 0;
  leastNanos = Number.POSITIVE_INFINITY;
  readonly places = new Places();
}

export function pairKey(caller: string, callee: string): string {
  return `${caller}\u0000${callee}`;
}

/** What is certain stands first, and so is kept when there are too many. */
export function templateKey(template: string, isCertain: boolean): string {
  return `${isCertain ? "!" : "?"}${template}`;
}

export function splitTemplateKey(key: string): { readonly template: string; readonly isCertain: boolean } {
  return { template: key.slice(1), isCertain: key.startsWith("!") };
}

/** A map of at most `max` keys: the smallest of all that were asked for, each with all that was added to it. */
export class SmallestKeys<Value> {
  readonly #max: number;
  readonly #make: () => Value;
  readonly #values = new Map<string, Value>();

  constructor(max: number, make: () => Value) {
    this.#max = max;
    this.#make = make;
  }

  get(key: string): Value {
    let value = this.#values.get(key);
    if (value === undefined) {
      // the double, so that sorting costs little
      if (this.#values.size >= this.#max * 2)
        for (const [dropped] of this.#sorted().slice(this.#max)) this.#values.delete(dropped);
      value = this.#make();
      this.#values.set(key, value);
    }
    return value;
  }

  find(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** By key. */
  entries(): readonly (readonly [string, Value])[] {
    return this.#sorted().slice(0, this.#max);
  }

  #sorted(): readonly (readonly [string, Value])[] {
    return [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

export interface Place {
  readonly trace_id: string;
  readonly span_id: string;
}

const traceIdDigits = 32;

/** The places with the smallest ids of all that were added. */
export class Places {
  /** trace id and span id in one, sorted */
  #ids: string[] = [];

  add(traceId: TraceId, span: RowRef): void {
    const last = this.#ids[findingPlacesMax - 1];
    if (last !== undefined && last.slice(0, traceIdDigits) < traceId) return;
    this.#insert(traceId + spanIdOf(span));
  }

  addAll(others: Places): void {
    for (const id of others.#ids) this.#insert(id);
  }

  list(): readonly Place[] {
    return this.#ids.map((id) => ({
      trace_id: id.slice(0, traceIdDigits),
      span_id: id.slice(traceIdDigits),
    }));
  }

  #insert(id: string): void {
    if (this.#ids.includes(id)) return;
    this.#ids = [...this.#ids, id].sort().slice(0, findingPlacesMax);
  }
}

/** Hashes that are kept: the count is exact up to here and an estimate within a few percent beyond. */
const hashesMax = 512;

/** How many different texts there were, from the smallest of their hashes. */
class DistinctCount {
  #hashes = new Set<number>();
  #largest = 0;

  add(text: string): void {
    const hash = textHash(text);
    if (this.#hashes.size >= hashesMax && hash >= this.#largest) return;
    this.#hashes.add(hash);
    if (this.#hashes.size < hashesMax * 2) {
      if (this.#hashes.size <= hashesMax) this.#largest = Math.max(this.#largest, hash);
      return;
    }
    this.#hashes = new Set(this.#smallest());
    this.#largest = Math.max(...this.#hashes);
  }

  get count(): number {
    const hashes = this.#smallest();
    const last = hashes[hashesMax - 1];
    return last === undefined ? hashes.length : Math.round((hashesMax - 1) / (last / 2 ** 32));
  }

  #smallest(): readonly number[] {
    return [...this.#hashes].sort((a, b) => a - b).slice(0, hashesMax);
  }
}
