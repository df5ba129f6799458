import { overflowName } from "../model/limits.ts";
import { fusion } from "../model/scoring.ts";
import type { EvidenceFact } from "./candidate.ts";
import { type SignalFinding, type SignalFindings, type SignalName, signalNames } from "./signals.ts";

/** A service with what all signals say of it. */
export interface FusedFinding {
  readonly service: string;
  /** 0..1 */
  readonly score: number;
  /** largest part first */
  readonly terms: readonly FusedTerm[];
}

/** What one signal adds. */
interface FusedTerm {
  readonly signal: SignalName;
  /** 0..1 */
  readonly part: number;
  readonly finding: SignalFinding;
}

/**
 * Puts signals together, strongest service first, equal ones by name. Independent reasons add up (noisy-or): each takes its
 * part of the doubt that the others leave. How much a signal convinces grows with its strength, and is shared out by it.
 */
export function fuse(
  signals: Partial<Readonly<Record<SignalName, SignalFindings>>>,
): readonly FusedFinding[] {
  const terms = new Map<string, FusedTerm[]>();
  for (const signal of signalNames) {
    const findings = signals[signal];
    if (findings === undefined) continue;
    const { half, doubt } = fusion[signal];
    const largest = Math.max(...[...findings.values()].map(({ strength }) => strength));
    for (const [service, finding] of findings) {
      if (service === overflowName) continue;
      const { strength } = finding;
      const part = ((1 - doubt) * (strength / (strength + half)) * strength) / largest;
      terms.set(service, [...(terms.get(service) ?? []), { signal, part, finding }]);
    }
  }
  return [...terms]
    .map(([service, own]) => ({
      service,
      score: 1 - own.reduce((doubt, { part }) => doubt * (1 - part), 1),
      terms: own.toSorted((a, b) => b.part - a.part),
    }))
    .sort((a, b) => compared(b.score) - compared(a.score) || (a.service < b.service ? -1 : 1));
}

/** The facts of all signals, those of the strongest first. */
export function factsOf({ terms }: FusedFinding): readonly EvidenceFact[] {
  return terms.flatMap(({ finding }) => finding.evidence);
}

/** Last bits decide nothing. */
function compared(score: number): number {
  return Math.round(score * 1e9);
}
