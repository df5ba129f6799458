import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { minutesMax, overflowName } from "../model/limits.ts";
import { exactWeight } from "../model/red.ts";
import { blameEntriesMax } from "../model/scoring.ts";
import { laterBy, minuteTimeOf } from "../model/time.ts";
import type { FailureOrigin, OriginStep } from "../trace/error-origin.ts";
import { isEntry, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { Edge, PropagationMechanism } from "./candidate.ts";
import { propagationOf } from "./propagation.ts";

/** Whether something is added, or taken back. */
export type Sign = 1 | -1;

/** A count of 0 is taken out: all that was counted was taken back. */
export function countIn<Key>(counts: Map<Key, number>, key: Key, count: number): void {
  const sum = (counts.get(key) ?? 0) + count;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}

/** A trace in which failures began at one service, with a call of one caller. */
export interface FailedTrace {
  readonly trace: Trace;
  /** all of them */
  readonly origins: readonly FailureOrigin[];
  /** under which key the requests of a root are counted */
  readonly entryOf: (root: TraceSpan) => string;
  readonly sign: Sign;
}

/** How often something happened, by minute. */
export class Occurrences {
  /** requests, adjusted for sampling */
  count = 0;
  /** that these stand for: more, where traces were thinned */
  requests = 0;
  readonly minutes = new Map<number, number>();

  add(minute: number, weight: number, requests = weight): void {
    this.count += weight;
    this.requests += requests;
    if (this.minutes.has(minute) || this.minutes.size < minutesMax) countIn(this.minutes, minute, weight);
  }

  merge(other: Occurrences): void {
    this.count += other.count;
    this.requests += other.requests;
    for (const [minute, count] of other.minutes)
      this.minutes.set(minute, (this.minutes.get(minute) ?? 0) + count);
  }

  save(out: SnapshotWriter): void {
    out.number(this.count);
    out.number(this.requests);
    out.numberedCounts(this.minutes);
  }

  load(from: SnapshotReader): void {
    this.count = from.number();
    this.requests = from.number();
    from.numberedCounts(this.minutes);
  }
}

/** One way that failures took from a callee to its caller. */
export class StepSums extends Occurrences {
  readonly edge: Edge;
  readonly mechanism: PropagationMechanism;
  /** of all, those that ended at the caller: it did not fail itself */
  hidden = 0;

  constructor({ caller, callee }: Edge, mechanism: PropagationMechanism) {
    super();
    this.edge = { caller, callee };
    this.mechanism = mechanism;
  }

  mergeStep(other: StepSums): void {
    this.merge(other);
    this.hidden += other.hidden;
  }
}

export function stepKey({ caller, callee }: Edge, mechanism: PropagationMechanism): string {
  return `${caller}\u0000${callee}\u0000${mechanism}`;
}

interface Seen<Count> {
  readonly trace: number;
  readonly minute: number;
  /** that the trace stands for */
  readonly requests: number;
  /** for the first time */
  readonly make: () => Count;
}

/** Counts each thing once a trace: rows of a trace stand together. */
export class OncePerTrace<Count extends Occurrences> {
  readonly counts = new Map<string, Count>();
  readonly #last = new Map<string, number>();

  add(key: string, { trace, minute, requests, make }: Seen<Count>): void {
    if (this.#last.get(key) === trace) return;
    this.#last.set(key, trace);
    const count = this.counts.get(key) ?? make();
    this.counts.set(key, count);
    count.add(minute, 1, requests);
  }
}

/** The ways of all failures that began at one service, and who failed with it; each counts once a trace. */
export class WaySums {
  /** traces in which a failure began there */
  requests = 0;
  /** by `stepKey` */
  readonly steps = new Map<string, StepSums>();
  /** services whose requests failed, or were given up on, with it below */
  readonly hit = new Map<string, Occurrences>();
  /** requests that failed of it at their root, in parts where they failed of others too; by `entryKey` */
  readonly entries = new Map<string, number>();

  add({ trace, origins, entryOf, sign }: FailedTrace): void {
    const weight = sign * exactWeight(trace.weight);
    this.requests += weight;
    const hit = hitBy(trace, origins);
    for (const { caller, callee, mechanism, spans } of propagationOf(trace, origins)) {
      const step = this.#stepOf({ caller, callee }, mechanism);
      step.add(minuteAt(trace, trace.spans[spans[0] as number] as TraceSpan), weight);
      if (!hit.has(caller)) step.hidden += weight;
      if (step.count === 0) this.steps.delete(stepKey({ caller, callee }, mechanism));
    }
    for (const [service, span] of hit) {
      const occurrences = this.#hitOf(service);
      occurrences.add(minuteAt(trace, span), weight);
      if (occurrences.count === 0) this.hit.delete(service);
    }
    for (const { failure, visibility, share } of origins) {
      const root = trace.spans[failure] as TraceSpan;
      if (visibility !== "visible" || root.parent >= 0) continue;
      countIn(this.entries, entryOf(root), sign * exactWeight(trace.weight * share));
    }
  }

  /** Counts with a key of their own. */
  get itemCount(): number {
    let items = this.entries.size;
    for (const counted of [...this.steps.values(), ...this.hit.values()]) items += 1 + counted.minutes.size;
    return items;
  }

  save(out: SnapshotWriter): void {
    out.number(this.requests);
    out.map(this.steps, (key, step) => {
      out.texts([key, step.edge.caller, step.edge.callee, step.mechanism]);
      out.number(step.hidden);
      step.save(out);
    });
    out.map(this.hit, (service, occurrences) => {
      out.text(service);
      occurrences.save(out);
    });
    out.counts(this.entries);
  }

  load(from: SnapshotReader): void {
    this.requests = from.number();
    from.map(this.steps, () => {
      const [key = "", caller = "", callee = "", mechanism] = from.texts();
      const step = new StepSums({ caller, callee }, mechanism as PropagationMechanism);
      step.hidden = from.number();
      step.load(from);
      return [key, step];
    });
    from.map(this.hit, () => {
      const [service, occurrences] = [from.text(), new Occurrences()];
      occurrences.load(from);
      return [service, occurrences];
    });
    from.counts(this.entries);
  }

  /** Adds others, by other names where those are given: of services, and of keys of entries. */
  merge(other: WaySums, nameOf = unchanged, entryName = unchanged): void {
    this.requests += other.requests;
    for (const [key, step] of other.steps) {
      const edge = { caller: nameOf(step.edge.caller), callee: nameOf(step.edge.callee) };
      if (edge.caller === edge.callee) continue;
      const isSame = edge.caller === step.edge.caller && edge.callee === step.edge.callee;
      // a key that is known need not be put together
      const known = isSame ? this.steps.get(key) : undefined;
      (known ?? this.#stepOf(edge, step.mechanism)).mergeStep(step);
    }
    for (const [service, hit] of other.hit) this.#hitOf(nameOf(service)).merge(hit);
    for (const [key, count] of other.entries) {
      const name = entryName(key);
      this.entries.set(name, (this.entries.get(name) ?? 0) + count);
    }
  }

  #stepOf(edge: Edge, mechanism: PropagationMechanism): StepSums {
    const key = stepKey(edge, mechanism);
    const known = this.steps.get(key);
    if (known !== undefined) return known;
    if (this.steps.size >= blameEntriesMax && edge.caller !== overflowName)
      return this.#stepOf({ caller: overflowName, callee: overflowName }, mechanism);
    const step = new StepSums(edge, mechanism);
    this.steps.set(key, step);
    return step;
  }

  #hitOf(service: string): Occurrences {
    const name = this.hit.has(service) || this.hit.size < blameEntriesMax ? service : overflowName;
    const known = this.hit.get(name) ?? new Occurrences();
    this.hit.set(name, known);
    return known;
  }
}

function unchanged(name: string): string {
  return name;
}

function minuteAt({ startTime }: Trace, { start }: TraceSpan): number {
  return laterBy(minuteTimeOf(startTime), Math.max(0, start)).minute;
}

/** The services that failed on the way of any of these, or made others give up, with the span at which the request came in. */
function hitBy(trace: Trace, origins: readonly FailureOrigin[]): ReadonlyMap<string, TraceSpan> {
  const hit = new Map<string, TraceSpan>();
  const note = (index: number): void => {
    const span = trace.spans[index] as TraceSpan;
    if (isEntry(trace, span) && !hit.has(span.service)) hit.set(span.service, span);
  };
  const passed = new Set<OriginStep>();
  for (const origin of origins) {
    note(origin.failure);
    for (let step = origin.lastStep; step !== null && !passed.has(step); step = step.previous) {
      passed.add(step);
      note(step.to);
    }
    if (origin.reason.kind !== "slow_work") continue;
    for (let at = origin.span; at >= 0 && at !== origin.reason.giveUpSpan; ) {
      note(at);
      at = (trace.spans[at] as TraceSpan).parent;
    }
  }
  return hit;
}
