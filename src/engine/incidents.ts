import { type WindowStudy, windowReport } from "../analysis/analyze-window.ts";
import { type Anomaly, findAnomalies, groupAnomalies } from "../analysis/anomalies.ts";
import type { Language } from "../analysis/report.ts";
import type { Scope } from "../analysis/scope.ts";
import { parseTraceId } from "../model/ids.ts";
import {
  minuteOf,
  NANOS_PER_MINUTE,
  NANOS_PER_MS,
  parseTime,
  startOfMinute,
  type UnixNanos,
} from "../model/time.ts";
import type { FoldedTraces } from "./folded-traces.ts";
import type { EngineLimits } from "./limits.ts";
import type { Clock, EngineStats, Incident, IncidentEvent, TelemetryStore, TimeWindow } from "./ports.ts";
import type { Windows } from "./windows.ts";

/** What is looked at: the minute that goes on and the one before, so that there is a whole one. */
const recentMinutes = 2;
/** What is compared with: up to an hour in pieces, ending a while before now, because faults begin before they are seen. */
const usualMinutes = 60;
const guardMinutes = 3;
/** Pieces begin at whole multiples of their length, so that they stay the same from one look to the next. */
const pieceMinutes = { long: 10, short: 2 } as const;
/** A report of an incident that goes on is made anew this often. */
const reportEveryMs = 60_000;
/** At the longest, an anomaly that is not confirmed waits so long to be looked into again. */
const doubtMsMax = 300_000;
/** What was not confirmed in this time is how things are now: it is compared with like all that was before. */
const doubtMinutesMax = 15;
/** The traces before an incident that its reports show beside what went wrong. */
const leadNanos = 60_000_000_000n;

/** So much earlier than the first minute that was worse by itself an incident may begin, if its report shows that. */
const earlierMinutesMax = 2;

const languages: readonly Language[] = ["en", "ko"];

/**
 * One that an earlier process has left open goes on under its name if something is worse again within the quiet time, counted
 * from the first look after the start: while nobody looked it was neither seen nor missed. After longer than what looks
 * compare with, what is found is something else: it is closed then, with the time at which it was last seen.
 */
const resumedMinutesMax = usualMinutes;

interface Known {
  incident: Incident;
  readonly firstWorse: number;
  /** when anything was worse for the last time: of the time that a stop took, only the date knows */
  lastSeen: UnixNanos;
  /** null = by an earlier process, and nobody has looked since */
  lastSeenMs: number | null;
  reportedMs: number;
}

/** An anomaly that was not confirmed. */
interface Doubt {
  /** the first minute that was worse by itself */
  readonly firstWorse: number;
  /** when it was looked into for the first and the last time */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** Since when something is wrong, as far as is known, and with whom. */
interface Trouble {
  readonly start: UnixNanos;
  /** the first minute that was worse by itself */
  readonly firstWorse: number;
  readonly services: Iterable<string>;
}

/** What a report of it shows. */
type Finding = Pick<Incident, "start" | "reports">;

/** What one look compares. */
interface Look {
  readonly recent: Scope;
  readonly usual: readonly Scope[];
  /** the minute that goes on */
  readonly now: number;
}

export interface IncidentsOptions {
  readonly folded: FoldedTraces;
  readonly windows: Windows;
  /** where incidents are kept, and traces that show what went wrong */
  readonly store: Pick<TelemetryStore, "keepTraces" | "keptIncidents" | "keepIncident" | "forgetIncident">;
  readonly clock: Clock;
  readonly limits: EngineLimits;
}

/**
 * Notices by itself that something has gone wrong: operations that fare worse than at any time of the last hour, and of
 * which the evidence engine can say who is to blame. Anomalies of services that have to do with each other are one
 * incident; it goes on while there are any, is closed when there have been none for a while, and keeps its last report.
 *
 *   look   | | | | | | | | | |          every few seconds, at the last two minutes
 *   worse        x x x x   x
 *   incident     [----------------]     closed after the quiet time
 */
export class Incidents {
  readonly #folded: FoldedTraces;
  readonly #windows: Windows;
  readonly #store: IncidentsOptions["store"];
  readonly #clock: Clock;
  readonly #limits: EngineLimits;
  readonly #known = new Map<string, Known>();
  readonly #listeners = new Set<(event: IncidentEvent) => void>();
  /** by service */
  readonly #doubts = new Map<string, Doubt>();
  /** of the last event */
  #number = 0;
  #isLooking = false;
  #lookedMs: number | null = null;
  readonly #counts = {
    incident_looks_total: 0,
    incidents_opened_total: 0,
    incidents_merged_total: 0,
    incidents_closed_total: 0,
    /** anomalies for which the evidence engine found nothing significant */
    incidents_unconfirmed_total: 0,
    /** from the first minute that was worse to the look that said so, all together */
    incident_detection_delay_ms_total: 0,
  };

  constructor({ folded, windows, store, clock, limits }: IncidentsOptions) {
    this.#folded = folded;
    this.#windows = windows;
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    for (const { incident, firstWorse, lastSeen } of store.keptIncidents()) {
      this.#known.set(incident.id, { incident, firstWorse, lastSeen, lastSeenMs: null, reportedMs: 0 });
      this.#number = Math.max(this.#number, ...incident.told.map(({ number }) => number));
    }
  }

  /** Since the last look came to its end; null = there was none. */
  get lookSeconds(): number | null {
    return this.#lookedMs === null ? null : (this.#clock.monotonicMs() - this.#lookedMs) / 1000;
  }

  /** Newest first. */
  list(): readonly Incident[] {
    return [...this.#known.values()].map(({ incident }) => incident).reverse();
  }

  get(id: string): Incident | null {
    return this.#known.get(id)?.incident ?? null;
  }

  /** Calls back with everything that happens from now on; the answer ends that. */
  subscribe(listener: (event: IncidentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** In order. */
  eventsAfter(number: number): readonly IncidentEvent[] {
    const events = [...this.#known.values()].flatMap(({ incident }) =>
      incident.told.map((change) => ({ ...change, incident })),
    );
    return events.filter((event) => event.number > number).sort((a, b) => a.number - b.number);
  }

  stats(): EngineStats {
    const open = [...this.#known.values()].filter(({ incident }) => incident.status === "open");
    const { lookSeconds } = this;
    const look = lookSeconds === null ? {} : { seconds_since_incident_look: lookSeconds };
    return { ...this.#counts, ...look, open_incidents: open.length };
  }

  /** Looks once; a look that is still going on is not joined by another. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      this.#counts.incident_looks_total += 1;
      const now = minuteOf(this.#clock.unixNanos());
      await this.#takeUp();
      for (const [service, { firstWorse }] of this.#doubts)
        if (now - firstWorse > doubtMinutesMax) this.#doubts.delete(service);
      const recent = this.#scopeOf(now - recentMinutes + 1, now);
      const usual = this.#usualPieces(now);
      const groups = groupAnomalies(findAnomalies({ recent, usual }), recent);
      for (const group of groups) await this.#follow(group, { recent, usual, now });
      for (const known of this.#known.values()) await this.#settle(known);
      await this.#forgetOldest();
      this.#lookedMs = this.#clock.monotonicMs();
    } finally {
      this.#isLooking = false;
    }
  }

  /** Incidents that an earlier process has left are ours from the first look on. */
  async #takeUp(): Promise<void> {
    const resumedMax = BigInt(resumedMinutesMax * NANOS_PER_MINUTE);
    const nowMs = this.#clock.monotonicMs();
    for (const known of this.#known.values()) {
      if (known.lastSeenMs !== null) continue;
      known.lastSeenMs = known.reportedMs = nowMs;
      const isOpen = known.incident.status === "open";
      if (isOpen && this.#clock.unixNanos() - known.lastSeen > resumedMax) await this.#close(known);
    }
  }

  #scopeOf(from: number, to: number): Scope {
    return this.#folded.scope({ from: startOfMinute(from), to: startOfMinute(to) });
  }

  /** The pieces of the last hour in which nothing seemed to be wrong and anything happened at all. */
  #usualPieces(now: number): readonly Scope[] {
    const last = now - recentMinutes - guardMinutes;
    const long = this.#piecesBefore(last, pieceMinutes.long);
    return long.length >= 3 ? long : this.#piecesBefore(last, pieceMinutes.short);
  }

  #piecesBefore(last: number, length: number): readonly Scope[] {
    const pieces: Scope[] = [];
    const doubtedSince = Math.min(...[...this.#doubts.values()].map(({ firstWorse }) => firstWorse));
    const times = [...this.#known.values()].map(({ incident }) => incident);
    for (let end = last - ((last + 1) % length); end > last - usualMinutes; end -= length) {
      if (end >= doubtedSince) continue;
      const from = startOfMinute(end - length + 1);
      const to = startOfMinute(end + 1);
      const isTroubled = times.some(
        ({ start, end: ended }) => to > start - leadNanos && (ended === null || from < ended + leadNanos),
      );
      if (isTroubled) continue;
      const scope = this.#scopeOf(end - length + 1, end);
      if (scope.totals.traces > 0) pieces.push(scope);
    }
    return pieces;
  }

  /** Finds the incidents that a group of anomalies belongs to, brings them together, or opens one. */
  async #follow(group: readonly Anomaly[], look: Look): Promise<void> {
    const { recent } = look;
    const services = new Set(group.map(({ service }) => service));
    const near = new Set(services);
    for (const { caller, callee } of recent.graph.edges) {
      if (services.has(caller)) near.add(callee);
      if (services.has(callee)) near.add(caller);
    }
    const [first, ...others] = [...this.#known.values()].filter(
      ({ incident }) => incident.status === "open" && incident.services.some((service) => near.has(service)),
    );
    if (first === undefined) {
      if (!this.#isTooSoon(services)) await this.#open(services, look);
      return;
    }
    for (const other of others) {
      for (const service of other.incident.services) services.add(service);
      this.#counts.incidents_merged_total += 1;
      const end = this.#clock.unixNanos();
      await this.#tell(other, "merged", { status: "merged", end, mergedInto: first.incident.id });
    }
    const nowMs = this.#clock.monotonicMs();
    first.lastSeenMs = nowMs;
    first.lastSeen = this.#clock.unixNanos();
    const all = [...new Set([...first.incident.services, ...services])].sort();
    const isWider = all.length > first.incident.services.length;
    if (isWider) this.#change(first, { services: all });
    if (isWider || nowMs - first.reportedMs >= reportEveryMs) await this.#report(first);
  }

  /**
   * Whether all of them were looked into just now, for that takes time. What is not confirmed is looked into again after as long as it has gone on, for a fault that has only begun may not be told from chance yet.
   */
  #isTooSoon(services: ReadonlySet<string>): boolean {
    const nowMs = this.#clock.monotonicMs();
    return [...services].every((service) => {
      const doubt = this.#doubts.get(service);
      return doubt !== undefined && nowMs - doubt.lastMs < Math.min(doubtMsMax, doubt.lastMs - doubt.firstMs);
    });
  }

  async #open(services: ReadonlySet<string>, look: Look): Promise<void> {
    const now = this.#clock.unixNanos();
    const firstWorse = this.#firstWorse(services, look);
    const found = await this.#reportsOf({ start: startOfMinute(firstWorse), firstWorse, services });
    if (found === null) {
      this.#counts.incidents_unconfirmed_total += 1;
      const lastMs = this.#clock.monotonicMs();
      for (const service of services) {
        const first = this.#doubts.get(service) ?? { firstWorse, firstMs: lastMs };
        this.#doubts.set(service, { ...first, lastMs });
      }
      return;
    }
    const delayMs = Number(now - found.start) / NANOS_PER_MS;
    const incident: Incident = {
      id: this.#newId(now),
      status: "open",
      ...found,
      end: null,
      detected: now,
      delayMs,
      updated: now,
      version: 1,
      mergedInto: null,
      services: [...services].sort(),
      told: [],
    };
    const nowMs = this.#clock.monotonicMs();
    const known = { incident, firstWorse, lastSeen: now, lastSeenMs: nowMs, reportedMs: nowMs };
    this.#known.set(incident.id, known);
    this.#counts.incidents_opened_total += 1;
    this.#counts.incident_detection_delay_ms_total += delayMs;
    await this.#tell(known, "opened", {});
  }

  /** The first minute that was worse by itself; where each has too few requests to tell, the first one that was looked at. */
  #firstWorse(services: ReadonlySet<string>, { usual, now }: Look): number {
    const doubted = [...services].map((service) => this.#doubts.get(service)?.firstWorse ?? now);
    for (let minute = Math.min(now - guardMinutes, ...doubted); minute <= now; minute += 1) {
      const anomalies = findAnomalies({ recent: this.#scopeOf(minute, minute), usual });
      if (anomalies.some(({ service }) => services.has(service))) return minute;
    }
    return now - recentMinutes + 1;
  }

  /**
   * What an incident is compared with: the newest stretch of the hour before in which nothing was known to be wrong, if it is long
   * enough, else the longest.
   */
  #usualTime(firstWorse: number): TimeWindow {
    const last = firstWorse - guardMinutes;
    const calm = this.#calmStretches(last - usualMinutes, last);
    const longest = calm.toSorted((a, b) => b.to - b.from - (a.to - a.from))[0];
    const newest = calm.findLast(({ from, to }) => to - from >= pieceMinutes.long);
    const { from, to } = newest ?? longest ?? { from: last - pieceMinutes.long, to: last };
    return { from: startOfMinute(Math.max(0, from)), to: startOfMinute(to + 1) };
  }

  /** First and last minutes between incidents that are over, as far as there are traces. */
  #calmStretches(first: number, last: number): readonly { readonly from: number; readonly to: number }[] {
    const over = [...this.#known.values()].flatMap(({ incident: { start, end } }) =>
      end === null
        ? []
        : [{ from: minuteOf(start) - guardMinutes, to: minuteOf((end + leadNanos) as UnixNanos) }],
    );
    const stretches: { from: number; to: number }[] = [];
    let from = Math.max(0, first);
    const addUntil = (to: number): void => {
      const begin = to < from ? null : this.#scopeOf(from, to).totals.from;
      if (begin !== null) stretches.push({ from: minuteOf(begin), to });
    };
    for (const troubled of over.toSorted((a, b) => a.from - b.from)) {
      addUntil(Math.min(last, troubled.from - 1));
      from = Math.max(from, troubled.to + 1);
    }
    addUntil(last);
    return stretches;
  }

  async #report(known: Known): Promise<void> {
    const { incident, firstWorse } = known;
    const found = await this.#reportsOf({ ...incident, firstWorse });
    known.reportedMs = this.#clock.monotonicMs();
    // What is over is no reason to forget what it was.
    if (found === null) {
      await this.#keep(known);
      return;
    }
    const delayMs = Number(incident.detected - found.start) / NANOS_PER_MS;
    await this.#tell(known, "updated", { ...found, delayMs, version: incident.version + 1 });
  }

  /**
   * What there is to say, and since when: a report that shows evidence from before the start is made anew from there, so that it
   * shows what was before that. Null where nothing is significant, or there is nothing to compare with.
   */
  async #reportsOf(trouble: Trouble): Promise<Finding | null> {
    const { start } = trouble;
    const study = await this.#study(trouble);
    if (study.baseline === null || study.evidence.candidates.length === 0) return null;
    const shown = startShownBy(study) ?? start;
    if (shown >= start) return this.#tellOf(study, start);
    return (await this.#reportsOf({ ...trouble, start: shown })) ?? this.#tellOf(study, shown);
  }

  #study({ start, firstWorse, services }: Trouble): Promise<WindowStudy> {
    const notBefore = startOfMinute(firstWorse - earlierMinutesMax);
    const from = start - leadNanos > notBefore ? ((start - leadNanos) as UnixNanos) : notBefore;
    const window = { from, to: this.#clock.unixNanos() };
    return this.#windows.study({ window, baseline: this.#usualTime(firstWorse) }, { about: services });
  }

  async #tellOf(study: WindowStudy, start: UnixNanos): Promise<Finding> {
    const exemplars = study.exemplarTraceIds.map(parseTraceId).filter((traceId) => traceId !== null);
    await this.#store.keepTraces(exemplars);
    return {
      start,
      reports: new Map(languages.map((language) => [language, windowReport(study, language)])),
    };
  }

  /** Closes what has been quiet for long enough. */
  async #settle(known: Known): Promise<void> {
    if (known.incident.status !== "open" || known.lastSeenMs === null) return;
    if (this.#clock.monotonicMs() - known.lastSeenMs >= this.#limits.incidentQuietMs)
      await this.#close(known);
  }

  async #close(known: Known): Promise<void> {
    this.#counts.incidents_closed_total += 1;
    await this.#tell(known, "closed", { status: "closed", end: known.lastSeen });
  }

  #change(known: Known, change: Partial<Incident>): void {
    known.incident = { ...known.incident, ...change, updated: this.#clock.unixNanos() };
  }

  /** What was told is known after a crash too: it is kept first. */
  async #tell(known: Known, kind: IncidentEvent["kind"], change: Partial<Incident>): Promise<void> {
    // By the date, for the last number that an earlier process has told may not have reached the disk.
    const number = Math.max(this.#number + 1, Number(this.#clock.unixNanos() / BigInt(NANOS_PER_MS)));
    this.#number = number;
    const before = known.incident.told.filter((each) => each.kind !== kind);
    this.#change(known, { ...change, told: [...before, { kind, number }] });
    await this.#keep(known);
    for (const listener of this.#listeners) listener({ kind, number, incident: known.incident });
  }

  #keep({ incident, firstWorse, lastSeen }: Known): Promise<void> {
    return this.#store.keepIncident({ incident, firstWorse, lastSeen });
  }

  /** The time of its detection, and a number, for there may be several of one minute. */
  #newId(now: UnixNanos): string {
    const minute = new Date(Number(now / 1_000_000n)).toISOString().slice(0, 16).replaceAll(/[-:]/g, "");
    for (let number = 1; ; number += 1) {
      const id = `${minute}-${number}`;
      if (!this.#known.has(id)) return id;
    }
  }

  async #forgetOldest(): Promise<void> {
    const { incidentsMax, incidentAgeMsMax } = this.#limits;
    const nowMs = Number(this.#clock.unixNanos()) / NANOS_PER_MS;
    for (const [id, { incident }] of this.#known) {
      if (incident.status === "open") continue;
      const isOld = nowMs - Number(incident.end ?? incident.updated) / NANOS_PER_MS > incidentAgeMsMax;
      if (!isOld && this.#known.size <= incidentsMax) continue;
      this.#known.delete(id);
      await this.#store.forgetIncident(id);
    }
  }
}

/** The first minute of which a report tells that anything was worse in it; null = it tells no minutes. */
function startShownBy({ evidence, reach }: WindowStudy): UnixNanos | null {
  const told = reach.propagation.map(({ onset }) => parseTime(onset ?? "")).filter((time) => time !== null);
  const minutes = [...evidence.onsets.values(), ...told.map(minuteOf)];
  return minutes.length === 0 ? null : startOfMinute(Math.min(...minutes));
}
