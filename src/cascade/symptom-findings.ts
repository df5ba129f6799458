import { type Share, signedG } from "../base/count-test.ts";
import { factsPerSignalMax, stopAfterCall, strengthMax } from "../model/scoring.ts";
import type { CauseKind, EvidenceFact, SymptomFact } from "./candidate.ts";
import { type Concentration, type Contrast, isUnusual, type Symptom } from "./contrast.ts";
import type { SignalFinding, SignalResult } from "./signals.ts";
import type { UnitLabel, UnitPair, Units } from "./units.ts";

/** What of a contrast is read how. */
export interface SymptomReading {
  readonly signal: "structure" | "logs";
  /** units call each other: who only passes a symptom on is not blamed, and where visits stop tells something */
  readonly isTree: boolean;
}

/**
 * Whom the symptoms of a window speak for: the service that shows them, as far as no visit below shows one too; the
 * service called last, where visits stop after that call; the callee, where calls go unanswered or messages are not worked on.
 */
export function symptomFindings(pair: UnitPair, found: Contrast, reading: SymptomReading): SignalResult {
  const shown = showingsOf(pair.after, pair.labels, found);
  const below = reading.isTree ? belowOf(pair.after, shown) : null;
  const scored = found.symptoms.map((symptom, i) => {
    const rows = shown.rowsOf[i] ?? [];
    const leaf = below === null ? 1 : shareOf(rows, (row) => below[row] === 0);
    const score = Math.min(symptom.strength, strengthMax) * leaf;
    return { symptom, rows, score, leaf };
  });
  const claims: Claim[] = [];
  const stops: Stop[] = [];
  for (const each of scored) {
    const stop = reading.isTree && reading.signal === "structure" ? stopOf(pair, each) : null;
    if (stop === null) claims.push(claimOf(pair, each, reading));
    else stops.push(stop);
  }
  for (const stop of stops) claims.push(claimOfStop(pair, stop, { stops, reading }));
  for (const each of found.concentrations) claims.push(claimOfConcentration(pair, each, reading));
  return resultOf(claims, calledLast(pair, stops));
}

interface Scored {
  readonly symptom: Symptom;
  /** units that show it */
  readonly rows: readonly number[];
  readonly score: number;
  /** share of them without a symptom below */
  readonly leaf: number;
}

/** One reason to name a service. */
interface Claim {
  readonly service: string;
  readonly score: number;
  readonly kind: CauseKind;
  readonly operation: string | null;
  readonly margin: number;
  readonly fact: EvidenceFact;
}

/** By symptom, the units of the window that show it: that have what is more frequent, or lack what is rarer. */
interface Showings {
  readonly rowsOf: readonly (readonly number[])[];
}

function showingsOf(
  units: Units,
  labels: readonly UnitLabel[],
  { symptoms, isSetAside }: Contrast,
): Showings {
  const byKey = new Map<number, number[]>();
  for (const [i, { key }] of symptoms.entries()) {
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, [i]);
    else known.push(i);
  }
  const rowsOf: number[][] = symptoms.map(() => []);
  if (labels.length === 0) return { rowsOf };
  for (let row = 0; row < units.key.length; row += 1) {
    const here = byKey.get(units.key[row] as number);
    if (here === undefined || isSetAside(row)) continue;
    const shown = units.shapes[units.shape[row] as number]?.labels;
    for (const i of here) {
      const { label, g } = symptoms[i] as Symptom;
      if (shown?.includes(label) === g > 0) rowsOf[i]?.push(row);
    }
  }
  return { rowsOf };
}

/** By unit, 1 = one that it called, directly or not, shows a symptom, or failed and is blamed for that. */
function belowOf({ parent, explained }: Units, { rowsOf }: Showings): Uint8Array {
  const shows = new Uint8Array(parent.length);
  for (const rows of rowsOf) for (const row of rows) shows[row] = 1;
  const below = explained.slice();
  for (let row = parent.length - 1; row >= 0; row -= 1) {
    const above = parent[row] as number;
    if (above >= 0 && (shows[row] === 1 || below[row] === 1)) below[above] = 1;
  }
  return below;
}

function shareOf(rows: readonly number[], has: (row: number) => boolean): number {
  return rows.length === 0 ? 1 : rows.filter(has).length / rows.length;
}

function claimOf(pair: UnitPair, scored: Scored, { signal }: SymptomReading): Claim {
  const { symptom, score } = scored;
  const key = pair.keys[symptom.key];
  const label = pair.labels[symptom.label] as UnitLabel;
  const isCallee = label.callee !== "" && isCalleeToBlame(pair, scored, label);
  return {
    service: isCallee ? label.callee : (key?.service ?? ""),
    score,
    kind: isCallee && label.kind !== "message" ? "unreachable" : kindOf(label, symptom.g),
    operation: isCallee ? null : (key?.operation ?? null),
    margin: symptom.margin,
    fact: symptomFact(pair, scored, signal),
  };
}

/** A call that was tried and not answered, or a message that was sent and not worked on, is its receiver's. */
function isCalleeToBlame({ labels, after }: UnitPair, { symptom, rows }: Scored, label: UnitLabel): boolean {
  if (label.kind === "unanswered") return symptom.g > 0;
  if (label.kind === "message") return symptom.g < 0;
  if (symptom.g > 0 || label.kind !== "call") return false;
  const isTried = (row: number): boolean =>
    (after.shapes[after.shape[row] as number]?.labels ?? []).some(
      (each) => labels[each]?.kind === "unanswered" && labels[each].callee === label.callee,
    );
  return rows.length > 0 && shareOf(rows, isTried) >= stopAfterCall.shareMin;
}

function kindOf({ kind, isError }: UnitLabel, g: number): CauseKind {
  if (isError || kind === "line" || kind === "status") return "error";
  return g < 0 ? "missing_call" : "error";
}

function symptomFact(
  pair: UnitPair,
  { symptom, leaf }: Scored,
  signal: SymptomReading["signal"],
): SymptomFact {
  const { service = "", operation = "" } = pair.keys[symptom.key] ?? {};
  const { kind, callee, name } = pair.labels[symptom.label] as UnitLabel;
  const { before, after, g } = symptom;
  return { kind: "symptom", signal, service, operation, label: kind, name, callee, before, after, g, leaf };
}

/** Visits of one operation that do less than before, and most of which end with the same call. */
interface Stop {
  readonly scored: Scored;
  readonly callee: string;
  readonly operation: string;
  readonly before: Share;
  readonly after: Share;
}

function stopOf(pair: UnitPair, scored: Scored): Stop | null {
  const { symptom, rows } = scored;
  if (symptom.g > 0) return null;
  const { after, before, labels } = pair;
  const ends = new Map<number, number>();
  for (const row of rows) {
    const last = after.shapes[after.shape[row] as number]?.lastCall ?? -1;
    if (last >= 0) ends.set(last, (ends.get(last) ?? 0) + 1);
  }
  // labels are in order, so the smallest of equally frequent ones is the first by name
  const [most] = [...ends].sort(([a, m], [b, n]) => n - m || a - b);
  if (most === undefined || most[1] < rows.length * stopAfterCall.shareMin) return null;
  const [last, count] = most;
  const was = { count: 0, of: 0 };
  for (let row = 0; row < before.key.length; row += 1) {
    if (before.key[row] !== symptom.key) continue;
    was.of += 1;
    if (before.shapes[before.shape[row] as number]?.lastCall === last) was.count += 1;
  }
  const is = { count, of: rows.length };
  if (!isUnusual(signedG(was, is))) return null;
  const { callee, name: operation } = labels[last] as UnitLabel;
  return { scored, callee, operation, before: was, after: is };
}

/**
 * How much of the blame goes to the callee after which visits stop: all, where several callers do so. One caller that leaves
 * one thing undone has rather changed its mind; the more of its work is missing, the more likely it ended with that call.
 */
function partOfCallee(stops: readonly Stop[], of: Stop, { keys }: Pick<UnitPair, "keys">): number {
  const alike = stops.filter(({ callee }) => callee === of.callee);
  const callers = new Set(alike.map(({ scored }) => keys[scored.symptom.key]?.service));
  if (callers.size > 1) return 1;
  const undone = alike.filter(({ scored }) => scored.symptom.key === of.scored.symptom.key).length;
  return undone / (undone + stopAfterCall.callerWeight);
}

/** What is left for the caller. */
function claimOfStop(
  pair: UnitPair,
  stop: Stop,
  { stops, reading }: { readonly stops: readonly Stop[]; readonly reading: SymptomReading },
): Claim {
  const claim = claimOf(pair, stop.scored, reading);
  return { ...claim, score: claim.score * (1 - partOfCallee(stops, stop, pair)) };
}

/** What stops say of the service that was called last: of each operation that stops after it, the strongest. */
function calledLast(pair: UnitPair, stops: readonly Stop[]): readonly Claim[] {
  const byCallee = new Map<string, Stop[]>();
  for (const stop of stops) byCallee.set(stop.callee, [...(byCallee.get(stop.callee) ?? []), stop]);
  return [...byCallee].map(([service, own]) => {
    const strongest = new Map<number, number>();
    for (const stop of own) {
      const { score, symptom } = stop.scored;
      const part = score * partOfCallee(stops, stop, pair);
      strongest.set(symptom.key, Math.max(part, strongest.get(symptom.key) ?? 0));
    }
    const sum = [...strongest.values()].sort((a, b) => a - b).reduce((total, score) => total + score, 0);
    const [first] = own.toSorted((a, b) => b.scored.score - a.scored.score);
    const { operation, before, after, scored } = first as Stop;
    const caller = pair.keys[scored.symptom.key] as UnitPair["keys"][number];
    return {
      service,
      score: sum,
      kind: "error",
      operation,
      margin: Math.max(...own.map((stop) => stop.scored.symptom.margin)),
      fact: { kind: "stops_after", caller: caller.service, service, operation, before, after },
    };
  });
}

function claimOfConcentration(
  { keys }: UnitPair,
  { key, before, after, strength, margin }: Concentration,
  { signal }: SymptomReading,
): Claim {
  const { service, operation } = keys[key] as UnitPair["keys"][number];
  const fact = { kind: "more_troubles", signal, service, operation, before, after } as const;
  return { service, score: strength, kind: "error", operation, margin, fact };
}

/** By service its strongest claim, because symptoms of one fault are not independent; what stops after it say comes on top. */
function resultOf(claims: readonly Claim[], onTop: readonly Claim[]): SignalResult {
  const byService = new Map<string, { claims: Claim[]; added: number }>();
  const entryOf = (service: string): { claims: Claim[]; added: number } => {
    const entry = byService.get(service) ?? { claims: [], added: 0 };
    byService.set(service, entry);
    return entry;
  };
  for (const claim of claims) entryOf(claim.service).claims.push(claim);
  for (const claim of onTop) {
    const entry = entryOf(claim.service);
    entry.claims.push({ ...claim, score: 0 });
    entry.added += claim.score;
  }
  const findings = new Map<string, SignalFinding>();
  const margins = new Map<string, number>();
  for (const [service, entry] of [...byService].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ordered = entry.claims.toSorted((a, b) => b.score - a.score);
    const [first] = ordered;
    const strength = Math.min(strengthMax, (first?.score ?? 0) + entry.added);
    if (first === undefined || strength <= 0) continue;
    margins.set(service, Math.max(...ordered.map(({ margin }) => margin)));
    const { kind, operation } = first;
    const evidence = ordered.slice(0, factsPerSignalMax).map(({ fact }) => fact);
    findings.set(service, { service, strength, kind, operation, instance: null, edge: null, evidence });
  }
  return { findings, margins };
}
