import { ExactSum } from "../base/exact-sum.ts";
import { minutesMax, overflowName, servicesMax } from "../model/limits.ts";
import { exactWeight, RedCell } from "../model/red.ts";
import { blameEntriesMax, exemplarCountMax } from "../model/scoring.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { laterBy, minuteTimeOf } from "../model/time.ts";
import { type FailureOrigin, failureOrigins } from "../trace/error-origin.ts";
import { durationNanosOf } from "../trace/extract-calls.ts";
import type { Trace, TraceSpan } from "../trace/trace.ts";
import { type CauseKind, completenessOf, type Edge, edgeKey } from "./candidate.ts";
import { breakerTextOf, isUnresolved, kindOf } from "./origin-facts.ts";
import { WaySums } from "./way-sums.ts";

/**
 * Who is to blame for the failures of many traces, request by request, and how requests fared: what one trace says is added
 * up. Traces are assembled with `rawNaming`. All sums are exact, so that the order of traces never shows.
 */
export class BlameRollup {
  readonly #entries = new Map<string, EntrySums>();
  readonly #failures = new Map<string, FailureSums>();
  #traces = 0;
  #orphans = 0;
  #spans = 0;

  add(trace: Trace): void {
    this.#traces += 1;
    this.#spans += trace.spans.length;
    const origins = failureOrigins(trace, () => null);
    const roots = trace.roots.map((index) => trace.spans[index] as TraceSpan);
    const known = roots.filter(({ isOrphan }) => !isOrphan);
    this.#orphans += roots.length - known.length;
    // of a trace without a root, what is left of it has to do
    for (const root of known.length > 0 ? known : roots) this.#entryOf(root).add(trace, root);
    for (const origin of origins) this.#failuresOf(origin.service).add(trace, origin);
    const places = new Map<string, FailureOrigin[]>();
    for (const origin of origins) {
      const place = edgeKey({ caller: origin.edge?.caller ?? "", callee: origin.service });
      const group = places.get(place);
      if (group === undefined) places.set(place, [origin]);
      else group.push(origin);
    }
    for (const group of places.values()) {
      const [{ service, edge }] = group as [FailureOrigin];
      this.#failuresOf(service).addWays(edge?.caller ?? "", trace, group, (root) => this.#placeOf(root));
    }
  }

  /** The sums by the names that reports use. */
  read(directory: ServiceDirectory): BlameSums {
    const entries = new Map<string, EntrySums>();
    for (const sums of this.#entries.values()) {
      const service = directory.nameOfKey(sums.service);
      const key = entryKey(service, sums.operation);
      const known = entries.get(key) ?? new EntrySums(service, sums.operation);
      known.merge(sums);
      entries.set(key, known);
    }
    const failures = new Map<string, FailureSums>();
    for (const [key, sums] of this.#failures) {
      const service = directory.nameOfKey(key);
      const known = failures.get(service) ?? new FailureSums();
      known.merge(sums, directory);
      failures.set(service, known);
    }
    return {
      traces: this.#traces,
      completeness: completenessOf({ orphans: this.#orphans, spans: this.#spans }),
      entries,
      failures,
    };
  }

  /** Under which key the requests of a root are counted. */
  #placeOf({ service, operation }: TraceSpan): string {
    const key = entryKey(service, operation);
    const hasPlace = this.#entries.has(key) || this.#entries.size < blameEntriesMax;
    return hasPlace ? key : entryKey(overflowName, overflowName);
  }

  #entryOf(root: TraceSpan): EntrySums {
    const place = this.#placeOf(root);
    const [service, operation] = partsOf(place);
    const sums = this.#entries.get(place) ?? new EntrySums(service, operation);
    this.#entries.set(place, sums);
    return sums;
  }

  #failuresOf(blamed: string): FailureSums {
    const isFull = this.#failures.size >= servicesMax && !this.#failures.has(blamed);
    const service = isFull ? overflowName : blamed;
    const sums = this.#failures.get(service) ?? new FailureSums();
    this.#failures.set(service, sums);
    return sums;
  }
}

/** Turns the keys of sums into names; of sums that have names already, nothing. */
export type NodeNames = Pick<ServiceDirectory, "nameOfKey">;

export interface BlameSums {
  readonly traces: number;
  /** 0.5..1: how whole the traces are */
  readonly completeness: number;
  /** by `entryKey` */
  readonly entries: ReadonlyMap<string, EntrySums>;
  /** by the service or peer where failures began */
  readonly failures: ReadonlyMap<string, FailureSums>;
}

export function entryKey(service: string, operation: string): string {
  return `${service}\u0000${operation}`;
}

function partsOf(key: string): readonly [service: string, operation: string] {
  const end = key.indexOf("\u0000");
  return [key.slice(0, end), key.slice(end + 1)];
}

/** One operation at which requests come in, and how they went. */
export class EntrySums {
  readonly service: string;
  readonly operation: string;
  /** how they went */
  cell = new RedCell();
  /** in µs and µs², each as often as its weight says, in units of 1 / 1024 */
  readonly #duration = new ExactSum();
  readonly #durationSquared = new ExactSum();
  readonly #weight = new ExactSum();

  constructor(service: string, operation: string) {
    this.service = service;
    this.operation = operation;
  }

  add(trace: Trace, root: TraceSpan): void {
    const weight = exactWeight(trace.weight);
    const durationNanos = durationNanosOf(root);
    const startTime = laterBy(minuteTimeOf(trace.startTime), Math.max(0, root.start));
    this.cell.add({ startTime, durationNanos, failed: root.failed, weight });
    if (durationNanos === null) return;
    const parts = weight * 1024;
    const micros = Math.round(durationNanos / 1000);
    this.#weight.addProduct(parts, 1);
    this.#duration.addProduct(micros, parts);
    this.#durationSquared.addProduct(micros, micros, parts);
  }

  merge(other: EntrySums): void {
    this.cell = RedCell.sum([this.cell, other.cell]);
    this.#weight.addSum(other.#weight);
    this.#duration.addSum(other.#duration);
    this.#durationSquared.addSum(other.#durationSquared);
  }

  /** Finished requests, adjusted for sampling. */
  get finished(): number {
    return Number(this.#weight.value) / 1024;
  }

  get meanNanos(): number {
    const weight = Number(this.#weight.value);
    return weight === 0 ? 0 : (Number(this.#duration.value) / weight) * 1000;
  }

  get varianceNanos2(): number {
    const weight = Number(this.#weight.value);
    if (weight === 0) return 0;
    const mean = Number(this.#duration.value) / weight;
    const meanSquare = Number(this.#durationSquared.value) / weight;
    return Math.max(0, meanSquare - mean * mean) * 1e6;
  }
}

/** The failures that began at one service. A failure with several causes counts in parts. */
export class FailureSums {
  /** that a user got to see */
  visible = 0;
  /** that somebody above hid */
  hidden = 0;
  readonly kinds = new Map<CauseKind, number>();
  readonly operations = new Map<string, number>();
  readonly edges = new Map<string, Edge & { count: number }>();
  /** by instance of the span that shows the cause, in the service that is blamed */
  readonly instances = new Map<string, number>();
  /** because the name of the service could not be looked up */
  unresolved = 0;
  /** because a circuit breaker let no call through */
  heldBack = 0;
  /** visible ones, by minute */
  readonly minutes = new Map<number, number>();
  /** hex ids of traces, the smallest few: any choice would do, but it must not depend on order */
  exemplars: readonly string[] = [];
  /** how they spread, by who made the call that they began with; "" = they began with none */
  readonly ways = new Map<string, WaySums>();

  add(trace: Trace, origin: FailureOrigin): void {
    const { visibility, share, span, edge, reason, failure } = origin;
    const weight = exactWeight(trace.weight * share);
    const at = trace.spans[span] as TraceSpan;
    if (visibility === "visible") {
      this.visible += weight;
      const shown = trace.spans[failure] as TraceSpan;
      const { minute } = laterBy(minuteTimeOf(trace.startTime), Math.max(0, shown.start));
      if (this.minutes.size < minutesMax) countIn(this.minutes, minute, weight);
    } else this.hidden += weight;
    countIn(this.kinds, kindOf(reason), weight);
    if (isUnresolved(reason)) this.unresolved += weight;
    if (breakerTextOf(reason) !== null) this.heldBack += weight;
    countIn(this.operations, this.operations.size < blameEntriesMax ? at.operation : overflowName, weight);
    if (!origin.isPeer && at.service === origin.service && this.instances.size < blameEntriesMax)
      countIn(this.instances, at.instance, weight);
    if (edge !== null) this.#countEdge(edge, weight);
    this.#exemplify([trace.traceId]);
  }

  merge(other: FailureSums, directory: NodeNames): void {
    this.visible += other.visible;
    this.hidden += other.hidden;
    this.unresolved += other.unresolved;
    this.heldBack += other.heldBack;
    for (const [kind, count] of other.kinds) countIn(this.kinds, kind, count);
    for (const [operation, count] of other.operations) countIn(this.operations, operation, count);
    for (const [instance, count] of other.instances) countIn(this.instances, instance, count);
    for (const { caller, callee, count } of other.edges.values())
      this.#countEdge({ caller: directory.nameOfKey(caller), callee: directory.nameOfKey(callee) }, count);
    for (const [minute, count] of other.minutes) countIn(this.minutes, minute, count);
    this.#exemplify(other.exemplars);
    const nameOf = (key: string): string => directory.nameOfKey(key);
    const entryName = (key: string): string => {
      const [root, operation] = partsOf(key);
      return entryKey(nameOf(root), operation);
    };
    for (const [caller, ways] of other.ways) this.#waysOf(nameOf(caller)).merge(ways, nameOf, entryName);
  }

  /** `origins` = all of one trace that began here with a call of this caller */
  addWays(
    caller: string,
    trace: Trace,
    origins: readonly FailureOrigin[],
    entryOf: (root: TraceSpan) => string,
  ): void {
    this.#waysOf(caller).add(trace, origins, entryOf);
  }

  #waysOf(caller: string): WaySums {
    const name = this.ways.has(caller) || this.ways.size < blameEntriesMax ? caller : overflowName;
    const known = this.ways.get(name) ?? new WaySums();
    this.ways.set(name, known);
    return known;
  }

  #countEdge({ caller, callee }: Edge, count: number): void {
    const key = edgeKey({ caller, callee });
    const known = this.edges.get(key);
    if (known !== undefined) known.count += count;
    else this.edges.set(key, { caller, callee, count });
  }

  #exemplify(traceIds: readonly string[]): void {
    this.exemplars = [...new Set([...this.exemplars, ...traceIds])].sort().slice(0, exemplarCountMax);
  }
}

/** The key with the largest count; equal ones by name. */
export function mostFrequent<Key extends string>(counts: ReadonlyMap<Key, number>): Key | null {
  let most: Key | null = null;
  for (const [key, count] of counts) {
    const best = most === null ? -1 : (counts.get(most) ?? 0);
    if (count > best || (count === best && most !== null && key < most)) most = key;
  }
  return most;
}

function countIn<Key>(counts: Map<Key, number>, key: Key, count: number): void {
  counts.set(key, (counts.get(key) ?? 0) + count);
}
