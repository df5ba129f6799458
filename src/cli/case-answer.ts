import type { CandidateJson, TraceReport, WindowReport } from "../analysis/report.ts";
import type { Scope } from "../analysis/scope.ts";
import type { Answer } from "../evaluation/evaluation.ts";
import type { RankerName } from "../evaluation/ranker-names.ts";
import { rankers } from "../evaluation/rankers.ts";
import type { Ranked, Ranking } from "../evaluation/ranking.ts";
import type { VisitRollup } from "../evaluation/visits.ts";
import type { CaseFigures, SideFigures } from "../evaluation/window-figures.ts";
import { type CommandRun, note } from "./command.ts";

/** An answer with the kinds of telemetry that it was made from, and how long the analysis took. */
export interface TimedAnswer {
  readonly answer: Answer;
  readonly signals: readonly string[];
  readonly seconds: number;
}

/** What a report says, as far as it is scored, beside what the simple rules say of the same telemetry. */
export function answerOf(
  report: WindowReport | TraceReport,
  { names, figures }: { readonly names: readonly RankerName[]; readonly figures: () => CaseFigures },
): Answer {
  const { root_cause_candidates: candidates, confidence } = report;
  const [first] = candidates;
  const isWindow = "affected_services" in report;
  return {
    ranking: rankingOfCandidates(candidates),
    healthy: isWindow ? report.healthy : candidates.length === 0,
    confidence,
    instance: first?.instance ?? null,
    operation: first?.operation ?? null,
    edge: first?.edge ?? null,
    propagation: report.propagation.map(({ caller, callee }) => ({ from: callee, to: caller })),
    affectedServices: isWindow ? report.affected_services : null,
    rankers: rankedBy(names, figures),
  };
}

/** Each service once, where it is named first. The report's order stands, and equal scores are a tie. */
function rankingOfCandidates(candidates: readonly CandidateJson[]): Ranking {
  const listed = new Map<string, Ranked>();
  for (const { service: name, score } of candidates) if (!listed.has(name)) listed.set(name, { name, score });
  return [...listed.values()];
}

/** The figures are worked out only where a rule needs them. */
function rankedBy(names: readonly RankerName[], figures: () => CaseFigures): Answer["rankers"] {
  if (names.length === 0) return new Map();
  const shared = figures();
  return new Map(names.map((name) => [name, rankers[name](shared)]));
}

export const noSideFigures: SideFigures = { cpu: new Map(), errorLogs: new Map(), dependencies: new Map() };

/** What the rules use of a side beside its traces and logs. */
export function sideFiguresOf({ health, graph, red }: Scope): SideFigures {
  const cpu = new Map<string, number>();
  for (const service of health.services) {
    const usage = health.service(service)?.cpu_usage;
    if (usage !== undefined) cpu.set(service, usage);
  }
  return { cpu, errorLogs: new Map(), dependencies: graph.dependencies(red.servicesByStart) };
}

/** Says it where the rules do not see all traces. */
export function noteLeftOut(run: CommandRun, { leftOut }: VisitRollup): void {
  if (leftOut > 0) note(run, `the simple rules see ${leftOut} traces less: there is no room for more`);
}
