import { ExactSum } from "../base/exact-sum.ts";
import { mapEntry } from "../base/map-entry.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { orderlessSum } from "../base/sum.ts";
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
import type { ServiceOperation } from "./visit-rollup.ts";
import { countIn, type FailedTrace, type Sign, WaySums } from "./way-sums.ts";

/**
 * Who is to blame for the failures of many traces, request by request, and how requests fared: what one trace says is added
 * up. Traces are assembled with `rawNaming`. All sums are exact, so that the order of traces never shows.
 */
export class BlameRollup {
  /** by service, then operation */
  readonly #entries = new Map<string, Map<string, EntrySums>>();
  #entryCount = 0;
  readonly #failures = new Map<string, FailureSums>();
  /** requests by minute */
  readonly #minutes = new Map<number, number>();
  #traces = 0;
  #orphans = 0;
  #spans = 0;

  add(trace: Trace): void {
    this.#count(trace, 1);
  }

  /** Takes back a trace as it was added. */
  remove(trace: Trace): void {
    this.#count(trace, -1);
  }

  #count(trace: Trace, sign: Sign): void {
    this.#traces += sign;
    this.#spans += sign * trace.spans.length;
    const origins = failureOrigins(trace, () => null);
    const orphans = orphanCount(trace);
    this.#orphans += sign * orphans;
    // of a trace without a root, what is left of it has to do
    const isRootless = orphans === trace.roots.length;
    for (const index of trace.roots) {
      const root = trace.spans[index] as TraceSpan;
      if (isRootless || !root.isOrphan) this.#entryOf(root).add(trace, root, sign);
    }
    const requests = isRootless ? orphans : trace.roots.length - orphans;
    const { minute } = minuteTimeOf(trace.startTime);
    if (this.#minutes.has(minute) || this.#minutes.size < minutesMax)
      countIn(this.#minutes, minute, sign * exactWeight(trace.weight) * requests);
    if (origins.length === 0) return;
    for (const origin of origins) this.#failuresOf(origin.service).add(trace, origin, sign);
    const places = new Map<string, FailureOrigin[]>();
    for (const origin of origins) {
      const place = edgeKey({ caller: origin.edge?.caller ?? "", callee: origin.service });
      const group = places.get(place);
      if (group === undefined) places.set(place, [origin]);
      else group.push(origin);
    }
    for (const group of places.values()) {
      const [{ service, edge }] = group as [FailureOrigin];
      const entryOf = (root: TraceSpan): string => {
        const { service: entry, operation } = this.#entryOf(root);
        return entryKey(entry, operation);
      };
      this.#failuresOf(service).addWays(edge?.caller ?? "", { trace, origins: group, entryOf, sign });
    }
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    let items = this.#entryCount * entryItems + this.#minutes.size;
    for (const sums of this.#failures.values()) items += sums.itemCount;
    return items * itemBytes;
  }

  save(out: SnapshotWriter): void {
    for (const count of [this.#traces, this.#orphans, this.#spans, this.#entryCount]) out.number(count);
    out.numberedCounts(this.#minutes);
    out.map(this.#entries, (service, operations) => {
      out.text(service);
      out.map(operations, (operation, sums) => {
        out.text(operation);
        sums.save(out);
      });
    });
    out.map(this.#failures, (service, sums) => {
      out.text(service);
      sums.save(out);
    });
  }

  load(from: SnapshotReader): void {
    this.#traces = from.number();
    this.#orphans = from.number();
    this.#spans = from.number();
    this.#entryCount = from.number();
    from.numberedCounts(this.#minutes);
    from.map(this.#entries, () => {
      const [service, operations] = [from.text(), new Map<string, EntrySums>()];
      from.map(operations, () => {
        const sums = new EntrySums(service, from.text());
        sums.load(from);
        return [sums.operation, sums];
      });
      return [service, operations];
    });
    from.map(this.#failures, () => {
      const [service, sums] = [from.text(), new FailureSums()];
      sums.load(from);
      return [service, sums];
    });
  }

  /** The sums by the names that reports use. */
  read(directory: ServiceDirectory): BlameSums {
    return BlameRollup.readAll([this], directory);
  }

  /** The same of everything that was added to any of some rollups. */
  static readAll(parts: readonly BlameRollup[], directory: ServiceDirectory): BlameSums {
    const names = namesOnce(directory);
    const entryParts = new Map<string, { readonly name: ServiceOperation; readonly parts: EntrySums[] }>();
    const failures = new Map<string, FailureSums>();
    const minutes = new Map<number, number>();
    let [traces, orphans, spans] = [0, 0, 0];
    for (const part of parts) {
      traces += part.#traces;
      orphans += part.#orphans;
      spans += part.#spans;
      for (const [node, operations] of part.#entries) {
        const service = names.nameOfKey(node);
        for (const [operation, sums] of operations)
          mapEntry(entryParts, entryKey(service, operation), () => ({
            name: { service, operation },
            parts: [],
          })).parts.push(sums);
      }
      for (const [minute, count] of part.#minutes) countIn(minutes, minute, count);
      for (const [key, sums] of part.#failures) {
        if (sums.isEmpty) continue;
        mapEntry(failures, names.nameOfKey(key), () => new FailureSums()).merge(sums, names);
      }
    }
    const entries = new Map<string, EntrySums>();
    for (const [key, { name, parts: own }] of entryParts) {
      const sum = EntrySums.sum(name, own);
      if (sum.cell.requests !== 0) entries.set(key, sum);
    }
    return { traces, completeness: completenessOf({ orphans, spans }), entries, failures, minutes };
  }

  /** Where the requests of a root are counted. */
  #entryOf({ service, operation }: TraceSpan): EntrySums {
    const known = this.#entries.get(service)?.get(operation);
    if (known !== undefined) return known;
    const hasRoom = this.#entryCount < blameEntriesMax;
    return hasRoom ? this.#newEntry(service, operation) : this.#overflow;
  }

  get #overflow(): EntrySums {
    const known = this.#entries.get(overflowName)?.get(overflowName);
    return known ?? this.#newEntry(overflowName, overflowName);
  }

  #newEntry(service: string, operation: string): EntrySums {
    const sums = new EntrySums(service, operation);
    mapEntry(this.#entries, service, () => new Map<string, EntrySums>()).set(operation, sums);
    this.#entryCount += 1;
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

function orphanCount({ roots, spans }: Trace): number {
  let orphans = 0;
  for (const index of roots) if (spans[index]?.isOrphan === true) orphans += 1;
  return orphans;
}

/** Rough size of one count with its key, and how many an entry operation has. */
const itemBytes = 150;
const entryItems = 4;

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
  /** requests, by the minute in which their trace starts */
  readonly minutes: ReadonlyMap<number, number>;
}

/** Each key is looked up once. */
function namesOnce(directory: NodeNames): NodeNames {
  const names = new Map<string, string>();
  return { nameOfKey: (key) => mapEntry(names, key, () => directory.nameOfKey(key)) };
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

  add(trace: Trace, root: TraceSpan, sign: Sign): void {
    const weight = exactWeight(trace.weight);
    const durationNanos = durationNanosOf(root);
    const startTime = laterBy(minuteTimeOf(trace.startTime), Math.max(0, root.start));
    // of durations the moments below are enough
    const request = { durationNanos: null, failed: root.failed };
    if (sign > 0) this.cell.add(startTime, request, weight);
    else this.cell.remove(startTime, request, weight);
    if (durationNanos === null) return;
    const parts = sign * weight * 1024;
    const micros = Math.round(durationNanos / 1000);
    this.#weight.addProduct(parts, 1);
    this.#duration.addProduct(micros, parts);
    this.#durationSquared.addProduct(micros, micros, parts);
  }

  /** In memory of its own: the parts go on. */
  static sum({ service, operation }: ServiceOperation, parts: readonly EntrySums[]): EntrySums {
    const sum = new EntrySums(service, operation);
    sum.cell = RedCell.sum([sum.cell, ...parts.map(({ cell }) => cell)]);
    for (const part of parts) {
      sum.#weight.addSum(part.#weight);
      sum.#duration.addSum(part.#duration);
      sum.#durationSquared.addSum(part.#durationSquared);
    }
    return sum;
  }

  save(out: SnapshotWriter): void {
    this.cell.save(out);
    for (const sum of [this.#duration, this.#durationSquared, this.#weight]) sum.save(out);
  }

  load(from: SnapshotReader): void {
    this.cell.load(from);
    for (const sum of [this.#duration, this.#durationSquared, this.#weight]) sum.load(from);
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

  add(trace: Trace, origin: FailureOrigin, sign: Sign): void {
    const { visibility, share, span, edge, reason, failure } = origin;
    const weight = sign * exactWeight(trace.weight * share);
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
    if (sign > 0) this.#exemplify([trace.traceId]);
    else this.exemplars = this.exemplars.filter((traceId) => traceId !== trace.traceId);
  }

  save(out: SnapshotWriter): void {
    for (const count of [this.visible, this.hidden, this.unresolved, this.heldBack]) out.number(count);
    for (const counts of [this.kinds, this.operations, this.instances]) out.counts(counts);
    out.numberedCounts(this.minutes);
    out.map(this.edges, (key, { caller, callee, count }) => {
      out.texts([key, caller, callee]);
      out.number(count);
    });
    out.texts(this.exemplars);
    out.map(this.ways, (caller, ways) => {
      out.text(caller);
      ways.save(out);
    });
  }

  load(from: SnapshotReader): void {
    this.visible = from.number();
    this.hidden = from.number();
    this.unresolved = from.number();
    this.heldBack = from.number();
    from.counts(this.kinds);
    from.counts(this.operations);
    from.counts(this.instances);
    from.numberedCounts(this.minutes);
    from.map(this.edges, () => {
      const [key = "", caller = "", callee = ""] = from.texts();
      return [key, { caller, callee, count: from.number() }];
    });
    this.exemplars = from.texts();
    from.map(this.ways, () => {
      const [caller, ways] = [from.text(), new WaySums()];
      ways.load(from);
      return [caller, ways];
    });
  }

  /** Visible ones in work that no request waited for (of messages): no request failed of them itself. */
  get aside(): number {
    const counts = [...this.ways.values()].flatMap(({ entries }) => [...entries.values()]);
    return Math.max(0, this.visible - orderlessSum(counts));
  }

  /** Whether all of it was taken back. */
  get isEmpty(): boolean {
    return this.visible === 0 && this.hidden === 0;
  }

  /** Counts with a key of their own. */
  get itemCount(): number {
    let items =
      this.kinds.size + this.operations.size + this.edges.size + this.instances.size + this.minutes.size;
    for (const ways of this.ways.values()) items += ways.itemCount;
    return items;
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
      const name = nameOf(root);
      return name === root ? key : entryKey(name, operation);
    };
    for (const [caller, ways] of other.ways) this.#waysOf(nameOf(caller)).merge(ways, nameOf, entryName);
  }

  addWays(caller: string, failed: FailedTrace): void {
    const ways = this.#waysOf(caller);
    ways.add(failed);
    if (ways.requests === 0) this.ways.delete(caller);
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
    if (known === undefined) this.edges.set(key, { caller, callee, count });
    else known.count += count;
    if (known?.count === 0) this.edges.delete(key);
  }

  #exemplify(traceIds: readonly string[]): void {
    for (const traceId of traceIds) {
      const { exemplars } = this;
      const largest = exemplars.at(-1) ?? "";
      if ((exemplars.length >= exemplarCountMax && traceId > largest) || exemplars.includes(traceId))
        continue;
      this.exemplars = [...exemplars, traceId].sort().slice(0, exemplarCountMax);
    }
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
