import { signedG } from "../base/count-test.ts";
import { overflowName } from "../model/limits.ts";
import type { RedCell } from "../model/red.ts";
import { anomalyRule } from "../model/scoring.ts";
import type { Scope } from "./scope.ts";

/** One operation that fares worse than it ever did in the time before. */
export interface Anomaly {
  readonly service: string;
  readonly operation: string;
  /** `errors` = more requests fail; `latency` = more requests take longer than nearly all did */
  readonly kind: "errors" | "latency";
  readonly requests: number;
  /** 0..1, of these requests, and of those of the time before */
  readonly share: number;
  readonly usualShare: number;
  /** likelihood ratio of the change, see `signedG` */
  readonly g: number;
}

export interface AnomalyQuestion {
  readonly recent: Scope;
  /** pieces of the time before, all of it healthy as far as is known; at least two, else nothing is said */
  readonly usual: readonly Scope[];
}

/**
 * What has become worse at once, by service and operation. An operation is only said to be worse if chance is out of the
 * question (a test whose bar rises with the number of operations, because of many one is always extreme), if the change
 * matters to somebody, and if no piece of the time before looked like that: what comes and goes is no incident.
 */
export function findAnomalies({ recent, usual }: AnomalyQuestion): readonly Anomaly[] {
  if (usual.length < 2) return [];
  const compared = comparedCells(recent, usual);
  const bar = anomalyRule.testMin + 2 * Math.log(Math.max(1, compared.length));
  return compared.flatMap((cells) =>
    [errorsOf(cells, bar), latencyOf(cells, bar)].filter((anomaly) => anomaly !== null),
  );
}

interface ComparedCells {
  readonly service: string;
  readonly operation: string;
  readonly recent: RedCell;
  readonly pieces: readonly RedCell[];
}

function comparedCells(recent: Scope, usual: readonly Scope[]): readonly ComparedCells[] {
  return recent.red.services.flatMap((service) => {
    if (service === overflowName) return [];
    const before = usual.map(({ red }) => red.service(service)?.operations);
    return [...(recent.red.service(service)?.operations ?? [])].flatMap(([operation, cell]) => {
      if (operation === overflowName || cell.requests < anomalyRule.recentRequestsMin) return [];
      const pieces = before.flatMap((operations) => operations?.get(operation) ?? []);
      if (pieces.length < 2 || sumOf(pieces, ({ requests }) => requests) < anomalyRule.usualRequestsMin)
        return [];
      return [{ service, operation, recent: cell, pieces }];
    });
  });
}

function errorsOf({ service, operation, recent, pieces }: ComparedCells, bar: number): Anomaly | null {
  const { requests, failed, errorRatio: share } = recent;
  const worstBefore = Math.max(...pieces.map(({ errorRatio }) => errorRatio));
  if (share - worstBefore < anomalyRule.failureShareRiseMin) return null;
  const usual = { count: sumOf(pieces, (cell) => cell.failed), of: sumOf(pieces, (cell) => cell.requests) };
  const usualShare = usual.count / usual.of;
  if (failed - requests * usualShare < anomalyRule.excessFailuresMin) return null;
  const g = signedG(usual, { count: failed, of: requests });
  return g < bar ? null : { service, operation, kind: "errors", requests, share, usualShare, g };
}

function latencyOf({ service, operation, recent, pieces }: ComparedCells, bar: number): Anomaly | null {
  const slowFrom = Math.max(
    ...pieces.map(({ latency }) => latency.quantile(1 - anomalyRule.usualSlowShare) ?? 0),
  );
  const slowest = recent.latency.quantile(1 - anomalyRule.usualSlowShare) ?? 0;
  if (slowFrom === 0 || slowest < slowFrom * anomalyRule.slowdownMin) return null;
  const slow = { count: recent.latency.weightAbove(slowFrom), of: recent.latency.weight };
  const share = slow.count / slow.of;
  if (share < anomalyRule.slowShareMin) return null;
  const usual = {
    count: sumOf(pieces, ({ latency }) => latency.weightAbove(slowFrom)),
    of: sumOf(pieces, ({ latency }) => latency.weight),
  };
  const g = signedG(usual, slow);
  const usualShare = usual.count / usual.of;
  return g < bar
    ? null
    : { service, operation, kind: "latency", requests: recent.requests, share, usualShare, g };
}

function sumOf(cells: readonly RedCell[], count: (cell: RedCell) => number): number {
  return cells.reduce((sum, cell) => sum + count(cell), 0);
}

/** Anomalies by what they have to do with each other: services that call each other, directly or by way of others that are worse too. */
export function groupAnomalies(
  anomalies: readonly Anomaly[],
  { graph }: Scope,
): readonly (readonly Anomaly[])[] {
  const groupOf = new Map<string, Anomaly[]>();
  for (const anomaly of anomalies) {
    const known = groupOf.get(anomaly.service);
    if (known === undefined) groupOf.set(anomaly.service, [anomaly]);
    else known.push(anomaly);
  }
  for (const { caller, callee } of graph.edges) {
    const [one, other] = [groupOf.get(caller), groupOf.get(callee)];
    if (one === undefined || other === undefined || one === other) continue;
    one.push(...other);
    for (const { service } of other) groupOf.set(service, one);
  }
  return [...new Set(groupOf.values())];
}
