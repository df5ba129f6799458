import type { Saved, SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { StepWindow } from "../cascade/step-window.ts";
import { VisitRollup } from "../cascade/visit-rollup.ts";
import { isJudged } from "../cascade/visits.ts";
import { countIn } from "../cascade/way-sums.ts";
import { GraphRollup, type ServiceGraph } from "../graph/service-graph.ts";
import { HealthRollup, type HealthWindow } from "../metrics/health-metrics.ts";
import { RedRollup, type RedWindow } from "../metrics/red-metrics.ts";
import type { TraceId } from "../model/ids.ts";
import { overflowName, problemKindsMax } from "../model/limits.ts";
import { Minutes } from "../model/minutes.ts";
import { mergeProblems, type Problem, type ProblemKind } from "../model/problems.ts";
import { biasedTracesMin, serviceFlood, stepVisitsMax } from "../model/scoring.ts";
import type { SenderNames } from "../model/sender.ts";
import { ServiceDirectory } from "../model/service-directory.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { MetricPoint } from "../model/telemetry.ts";
import { minuteOf, startOfMinute, type TimeRange, type UnixNanos } from "../model/time.ts";
import type { Call } from "../trace/calls.ts";
import { callsOf } from "../trace/extract-calls.ts";
import { observeTable } from "../trace/peers.ts";
import type { Trace } from "../trace/trace.ts";
import { templateOf } from "./doctor-names.ts";
import { OpenLinks } from "./open-links.ts";

/** What a report knows beside its trace: everything loaded, or a window of it. */
export interface Scope {
  readonly directory: ServiceDirectory;
  readonly red: RedWindow;
  readonly graph: ServiceGraph;
  /** what requests do as a rule */
  readonly steps: StepWindow;
  /** from OTLP metrics, by service */
  readonly health: HealthWindow;
  readonly totals: ScopeTotals;
  /** what failed of other traces that link to a trace */
  readonly failuresLinkedTo: OpenLinks["failuresLinkedTo"];
  readonly problems: readonly Problem[];
}

interface ScopeTotals {
  readonly spans: number;
  readonly traces: number;
  /** first and last start of a trace, to the minute; null where there is no trace */
  readonly from: UnixNanos | null;
  readonly to: UnixNanos | null;
}

/** Sums are kept by the minute, so the first and the last minute count whole. */
export type ScopeWindow = TimeRange;

/** What several rollups may have in common. */
export interface SharedSums {
  /** of all that is compared with each other, so that the same service has the same name */
  readonly directory?: ServiceDirectory;
  /** what OTLP metrics say */
  readonly health?: HealthRollup;
}

export interface ScopeRollupOptions extends SharedSums {
  /** whether single requests will be compared with what the requests that are added do as a rule; default true */
  readonly learnsSteps?: boolean;
}

/**
 * Everything that reports compare with, folded from traces and metrics in any order. Traces are assembled with
 * `rawNaming`; names are settled when a scope is read, so `observe` the tables of a trace before that.
 */
export class ScopeRollup {
  readonly directory: ServiceDirectory;
  readonly #red: RedRollup;
  readonly #graph = new GraphRollup();
  readonly #health: HealthRollup;
  /** what requests do; null = nobody will ask */
  readonly #visits: VisitRollup | null;
  readonly #links = new OpenLinks();
  readonly #minutes = new Minutes(() => new TraceMinute());
  readonly #inputProblems: Problem[] = [];

  constructor({
    directory = new ServiceDirectory(),
    health = new HealthRollup(),
    learnsSteps = true,
  }: ScopeRollupOptions = {}) {
    this.directory = directory;
    this.#red = new RedRollup(directory.servicesMax);
    this.#health = health;
    this.#visits = learnsSteps
      ? new VisitRollup({ joinsLogs: false, onlySteps: true, capacity: stepVisitsMax })
      : null;
  }

  /** For a rollup of some of the same time. */
  get shared(): Required<SharedSums> {
    return { directory: this.directory, health: this.#health };
  }

  /** Grows with every change that may show in minutes far from what brought it: names and links. */
  get sharedVersion(): number {
    return this.directory.version + this.#links.version;
  }

  /** The services and peers that a table names. */
  observe(table: SpanTable): void {
    observeTable(table, this.directory);
  }

  /** Promises that no span of what is added has links: then less has to be remembered. */
  expectNoLinks(): void {
    this.#links.expectNone();
  }

  /** `calls` = those of the trace, where the caller knows them. */
  addTrace(trace: Trace, calls = callsOf(trace)): void {
    this.#red.add(calls);
    this.#graph.add(calls);
    this.#addLinked(this.#links.addTrace(trace, calls));
    const minute = this.#minutes.cellFor(minuteOf(trace.startTime));
    minute?.add(trace, 1);
    if (minute !== undefined && isJudged(trace)) this.#visits?.add(trace, calls);
  }

  /** Takes back a trace as it was added. */
  removeTrace(trace: Trace, calls = callsOf(trace)): void {
    this.#red.remove(calls);
    this.#graph.remove(calls);
    this.#graph.remove({ calls: this.#links.removeTrace(trace, calls) });
    const minute = this.#minutes.find(minuteOf(trace.startTime));
    minute?.add(trace, -1);
    if (minute !== undefined && isJudged(trace)) this.#visits?.remove(trace);
  }

  /** The traces that links of an added trace point to and that are not known (any more): `showLinked` what can be found. */
  linkedBy(trace: Trace, calls = callsOf(trace)): readonly TraceId[] {
    return this.#links.waitedForBy(trace, calls);
  }

  /** Shows a trace that was counted before to the links that wait for it. */
  showLinked(trace: Trace): void {
    this.#addLinked(this.#links.addTrace(trace, { ...callsOf(trace), openLinks: [] }));
  }

  addMetricPoints(points: Iterable<MetricPoint>): void {
    this.#health.add(points);
  }

  /** What readers of the input found wrong. */
  addProblems(problems: Iterable<Problem>): void {
    this.#inputProblems.push(...problems);
    if (this.#inputProblems.length > problemKindsMax * 2)
      this.#inputProblems.splice(
        0,
        Infinity,
        ...mergeProblems(this.#inputProblems).slice(0, problemKindsMax),
      );
  }

  /**
   * Makes the minutes before one take as little room as 1 % of error in latencies allows, and answers what all minutes
   * take in memory, roughly.
   */
  compact(oldBefore: number): number {
    return (
      this.#red.compact(oldBefore) +
      this.#graph.compact(oldBefore) +
      (this.#visits?.byteLength ?? 0) +
      this.#health.byteLength
    );
  }

  /** Forgets what happened before a minute, and ignores it from now on. */
  dropBefore(minute: number): void {
    this.#red.dropBefore(minute);
    this.#graph.dropBefore(minute);
    this.#visits?.dropBefore(minute);
    this.#health.dropBefore(minute);
    this.#minutes.dropBefore(minute);
  }

  /** With what it shares with others. */
  save(out: SnapshotWriter): void {
    for (const part of this.#parts()) part.save(out);
    this.#minutes.save(out, (minute) => minute.save(out));
    out.list(this.#inputProblems, (problem) => writeProblem(out, problem));
  }

  load(from: SnapshotReader): void {
    for (const part of this.#parts()) part.load(from);
    this.#minutes.load(from, (minute) => minute.load(from));
    this.#inputProblems.push(...from.list(() => readProblem(from)));
  }

  #parts(): readonly Saved[] {
    const steps = this.#visits === null ? [] : [this.#visits];
    return [this.directory, this.#red, this.#graph, this.#health, this.#links, ...steps];
  }

  /** A part of what was folded; null = all of it. */
  scope(window: ScopeWindow | null): Scope {
    const from = window === null ? null : minuteOf(window.from);
    const to = window === null ? null : minuteOf(window.to);
    const { directory } = this;
    const red = this.#red.window(from, to, directory);
    const graph = this.#graph.window(from, to, { directory, prefers: (name) => red.has(name) });
    const minutes = this.#minutes.within(from, to);
    const times = minutes
      .filter(([minute, { traces }]) => minute >= 0 && traces > 0)
      .map(([minute]) => minute);
    const [first, last] = [times[0], times.at(-1)];
    return {
      directory,
      red,
      graph,
      steps: new StepWindow(
        () => (this.#visits === null ? [] : [this.#visits.plainVisits(from, to)]),
        directory,
      ),
      failuresLinkedTo: (traceId) => this.#links.failuresLinkedTo(traceId),
      health: this.#health.window({ from, to, ...senderNames({ directory, red, graph }) }),
      totals: {
        spans: minutes.reduce((sum, [, { spans }]) => sum + spans, 0),
        traces: minutes.reduce((sum, [, { traces }]) => sum + traces, 0),
        from: first === undefined ? null : startOfMinute(first),
        to: last === undefined ? null : ((startOfMinute(last + 1) - 1n) as UnixNanos),
      },
      problems: mergeProblems([
        ...this.#inputProblems,
        ...minutes.flatMap(([, minute]) => minute.problems()),
        ...this.#ownProblems(),
        ...servicesLeftOut(red, directory),
        ...samplingBias(minutes.map(([, minute]) => minute)),
      ]),
    };
  }

  #addLinked(calls: readonly Call[]): void {
    if (calls.length > 0) this.#graph.add({ calls });
  }

  #ownProblems(): readonly Problem[] {
    const problems: Problem[] = [];
    const add = (kind: Problem["kind"], message: string, count: number): void => {
      if (count > 0) problems.push({ kind, message, count, spans: [] });
    };
    add("unresolved_link", "a span links to one that was not seen", this.#links.waitingCount);
    add("overflow", "links to unseen spans were given up to bound memory", this.#links.droppedCount);
    add("overflow", "metric points were left out: too many series", this.#health.droppedPoints);
    return problems;
  }
}

/** Names for what services send beside spans. */
export function senderNames({
  directory,
  red,
  graph,
}: Pick<Scope, "directory" | "red" | "graph">): SenderNames {
  const names = new Set([...red.services, ...graph.nodeKinds.keys()]);
  return { directory, isKnown: (name) => names.has(name) };
}

function servicesLeftOut(red: RedWindow, { servicesMax }: ServiceDirectory): readonly Problem[] {
  const requests = red.service(overflowName)?.cell.requests ?? 0;
  if (requests === 0) return [];
  const message = `There are more than ${servicesMax} services: requests of the others are counted under ${overflowName}${offenders(red)}`;
  return [{ kind: "overflow", message, count: requests, spans: [] }];
}

/** Which names flood the list of services, and what they were read from. */
function offenders(red: RedWindow): string {
  const floods = new Map<string, number>();
  for (const name of red.services) {
    const template = templateOf(name)?.template;
    if (template === undefined) continue;
    const source = red.service(name)?.isInferred === true ? "peers of calls" : "service.name";
    const flood = `${template} (${source})`;
    floods.set(flood, (floods.get(flood) ?? 0) + 1);
  }
  const worst = [...floods].filter(([, count]) => count >= serviceFlood.namesMin);
  worst.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const names = worst.slice(0, serviceFlood.shownMax).map(([flood]) => flood);
  return names.length === 0 ? "" : `; most of them are called like ${names.join(", ")}`;
}

function samplingBias(minutes: readonly TraceMinute[]): readonly Problem[] {
  const traces = minutes.reduce((sum, minute) => sum + minute.traces, 0);
  const failed = minutes.reduce((sum, minute) => sum + minute.failedTraces, 0);
  if (traces < biasedTracesMin || failed < traces) return [];
  const message =
    "Every trace holds a failure: either all requests failed, or a sampler keeps only failed ones, and error rates say nothing";
  return [{ kind: "biased_sampling", message, count: traces, spans: [] }];
}

function writeProblem(out: SnapshotWriter, problem: Problem): void {
  out.text(problem.kind);
  out.text(problem.message);
  out.number(problem.count);
  out.texts(problem.spans);
  out.optional(problem.service ?? null, (service) => out.text(service));
  out.optional(problem.shift_ms ?? null, (shift) => out.number(shift));
  out.optional(problem.source ?? null, (source) => out.text(source));
}

function readProblem(from: SnapshotReader): Problem {
  const [kind, message, count] = [from.text() as ProblemKind, from.text(), from.number()];
  const spans = from.texts();
  const service = from.optional(() => from.text());
  const shift = from.optional(() => from.number());
  const source = from.optional(() => from.text());
  return {
    kind,
    message,
    count,
    spans,
    ...(service === null ? {} : { service }),
    ...(shift === null ? {} : { shift_ms: shift }),
    ...(source === null ? {} : { source }),
  };
}

interface CountedProblem {
  readonly problem: Problem;
  count: number;
  /** how many traces have each figure of `shift_ms`: the largest one may be taken back */
  readonly shifts: Map<number, number>;
}

/** Totals and problems of the traces that start in one minute. */
class TraceMinute {
  spans = 0;
  traces = 0;
  failedTraces = 0;
  readonly #problems = new Map<string, CountedProblem>();

  add(trace: Trace, sign: 1 | -1): void {
    this.spans += sign * (trace.spans.length + trace.omittedSpans);
    this.traces += sign;
    if (trace.spans.some(({ failed }) => failed)) this.failedTraces += sign;
    for (const problem of trace.problems) {
      const { kind, message, service = "", shift_ms: shift } = problem;
      const key = [kind, message, service].join("\u0000");
      let known = this.#problems.get(key);
      if (known === undefined) {
        if (sign < 0 || this.#problems.size >= problemKindsMax) continue;
        known = { problem, count: 0, shifts: new Map() };
        this.#problems.set(key, known);
      }
      known.count += sign * problem.count;
      if (shift !== undefined) countIn(known.shifts, shift, sign);
    }
  }

  save(out: SnapshotWriter): void {
    for (const count of [this.spans, this.traces, this.failedTraces]) out.number(count);
    out.map(this.#problems, (key, { problem, count, shifts }) => {
      out.text(key);
      writeProblem(out, problem);
      out.number(count);
      out.numberedCounts(shifts);
    });
  }

  load(from: SnapshotReader): void {
    this.spans = from.number();
    this.traces = from.number();
    this.failedTraces = from.number();
    from.map(this.#problems, () => {
      const [key, problem, count] = [from.text(), readProblem(from), from.number()];
      const shifts = new Map<number, number>();
      from.numberedCounts(shifts);
      return [key, { problem, count, shifts }];
    });
  }

  problems(): readonly Problem[] {
    return [...this.#problems.values()]
      .filter(({ count }) => count > 0)
      .map(({ problem, count, shifts }) => {
        const told = { ...problem, count, spans: [] };
        return shifts.size === 0 ? told : { ...told, shift_ms: Math.max(...shifts.keys()) };
      });
  }
}
