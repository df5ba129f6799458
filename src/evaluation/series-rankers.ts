import { quantileOfUnsorted } from "../base/quantile.ts";
import { type Ranking, rankingOf } from "./ranking.ts";
import { deviationOf, meanOf } from "./statistics.ts";
import { nanosOf } from "./visits.ts";
import type { CaseFigures, SliceFigures, WindowFigures } from "./window-figures.ts";

// How far slices of the incident lie outside what slices of the baseline were like. Without a baseline there is nothing to say.

/** What is looked at of each slice, and the least spread that it is taken to have: a share of the usual value, and in its own unit. */
const measures: readonly {
  readonly of: (slice: SliceFigures) => number;
  readonly spreadMin: number;
}[] = [
  { of: ({ requests }) => requests, spreadMin: 0.01 },
  { of: ({ errorRatio }) => errorRatio, spreadMin: 0.01 },
  { of: ({ latencyMean }) => latencyMean, spreadMin: 100_000 },
];
const relativeSpreadMin = 0.05;

/** N-Sigma: the largest deviation above the mean, in standard deviations. */
export function nSigma(figures: CaseFigures): Ranking {
  return farthest(figures, (usual) => ({ middle: meanOf(usual), spread: deviationOf(usual) }));
}

/** The scorer of BARO (FSE 2024): the largest deviation above the median, in interquartile ranges. */
export function robustScorer(figures: CaseFigures): Ranking {
  return farthest(figures, (usual) => ({
    middle: quantileOfUnsorted(usual, 0.5),
    spread: quantileOfUnsorted(usual, 0.75) - quantileOfUnsorted(usual, 0.25),
  }));
}

type Scale = (usual: readonly number[]) => { readonly middle: number; readonly spread: number };

function farthest({ incident, baseline }: CaseFigures, scale: Scale): Ranking {
  return rankingOf(
    incident.services.map((service) => [
      service,
      Math.max(...deviations(incident, baseline, service, scale)),
    ]),
  );
}

/** The largest deviation of each measure; -Infinity where a service is new. */
function deviations(
  incident: WindowFigures,
  baseline: WindowFigures,
  service: string,
  scale: Scale,
): readonly number[] {
  const now = incident.series.get(service) ?? [];
  const before = baseline.series.get(service) ?? [];
  if (before.length === 0) return [Number.NEGATIVE_INFINITY];
  return measures.map(({ of, spreadMin }) => {
    const { middle, spread } = scale(before.map(of));
    const bounded = Math.max(spread, relativeSpreadMin * middle, spreadMin);
    return now.reduce(
      (most, slice) => Math.max(most, (of(slice) - middle) / bounded),
      Number.NEGATIVE_INFINITY,
    );
  });
}

const sigmasMin = 3;
const slowFactorMin = 3;
const errorLogFactorMin = 3;
const busyCpuMin = 0.8;

/**
 * The rule of "Rethinking the Evaluation of Microservice RCA" (arXiv 2510.04711): count the alerts of each service: a measure
 * above three sigma, a 95th percentile three times the usual one, more error logs, a busy CPU.
 */
export function simpleRca({ incident, baseline }: CaseFigures): Ranking {
  const sigma: Scale = (usual) => ({ middle: meanOf(usual), spread: deviationOf(usual) });
  return rankingOf(
    [...new Set([...incident.services, ...incident.cpu.keys(), ...incident.errorLogs.keys()])].map(
      (service) => {
        const alerts = [
          ...deviations(incident, baseline, service, sigma).map((sigmas) => sigmas > sigmasMin),
          p95Of(incident, service) > slowFactorMin * p95Of(baseline, service),
          errorLogsPerTrace(incident, service) > errorLogFactorMin * errorLogsPerTrace(baseline, service),
          (incident.cpu.get(service) ?? 0) > busyCpuMin,
        ];
        return [service, alerts.filter(Boolean).length];
      },
    ),
  );
}

function p95Of({ ofService }: WindowFigures, service: string): number {
  return quantileOfUnsorted((ofService.get(service) ?? []).map(nanosOf), 0.95);
}

function errorLogsPerTrace({ errorLogs, traces }: WindowFigures, service: string): number {
  return (errorLogs.get(service) ?? 0) / Math.max(1, traces.length);
}
