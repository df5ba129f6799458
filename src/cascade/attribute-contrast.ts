import { chanceOfG, discoveryLimit, type Share, signedG } from "../base/count-test.ts";
import { mapEntry } from "../base/map-entry.ts";
import { quantileOf } from "../base/quantile.ts";
import {
  baselineRequestsMin,
  contrastRule,
  excessTestMin,
  exemplarCountMax,
  goneShareMax,
  sideTroubleMax,
} from "../model/scoring.ts";
import { splitKeys } from "../model/semconv.ts";
import type { SplitAttribute } from "../trace/split-attributes.ts";
import type { ContrastFact, EvidenceFact, MarkedValue } from "./candidate.ts";
import { instanceKey } from "./split-sets.ts";
import type { VisitSums } from "./visit-rollup.ts";

/**
 * Which requests of a service that is blamed are in trouble (they failed, or took longer than usual for their operation), by
 * what they carry: a version, an instance, a zone, a tenant. The shortest conjunction of at most two values that holds nearly
 * all of what is beyond the usual (the idea of TraceContrast and of BubbleUp, without mining of patterns). And which of its
 * instances has gone silent. `before` is a healthy time.
 */
export function contrastFacts(service: string, before: VisitSums, after: VisitSums): readonly EvidenceFact[] {
  const limits = slowLimits(service, before);
  const [was, is] = [groupsOf(service, before, limits), groupsOf(service, after, limits)];
  return [onlyWhere(was, is, after), goneInstance(was, is)].filter((fact) => fact !== null);
}

/** Requests of a service that carry the same. */
interface Group {
  readonly attributes: readonly SplitAttribute[];
  requests: number;
  failed: number;
  /** that did not fail */
  slow: number;
  /** rows of the first few in trouble, in the order of time */
  readonly rows: number[];
}

interface Groups {
  readonly groups: readonly Group[];
  readonly requests: number;
  readonly failed: number;
  readonly slow: number;
  /** requests of one trace do not fail independently: traces by requests */
  readonly independent: number;
}

/** From how long on a request is slow, by operation. */
function slowLimits(service: string, { visits, operations }: VisitSums): ReadonlyMap<string, number> {
  const durations = new Map<string, number[]>();
  for (const row of rowsOf(service, { visits, operations })) {
    const nanos = visits.durationNanos[row] as number;
    if (Number.isNaN(nanos) || visits.failed[row] === 1) continue;
    mapEntry(durations, operations[visits.operation[row] as number]?.operation ?? "", () => []).push(nanos);
  }
  const limits = new Map<string, number>();
  for (const [operation, values] of durations)
    if (values.length >= baselineRequestsMin)
      limits.set(operation, quantileOf(Float64Array.from(values).sort(), contrastRule.slowQuantile));
  return limits;
}

function* rowsOf(
  service: string,
  { visits, operations }: Pick<VisitSums, "visits" | "operations">,
): Generator<number> {
  const isOwn = Uint8Array.from(operations, (each) => (each.service === service ? 1 : 0));
  for (let row = 0; row < visits.operation.length; row += 1)
    if (isOwn[visits.operation[row] as number] === 1) yield row;
}

function groupsOf(service: string, sums: VisitSums, limits: ReadonlyMap<string, number>): Groups {
  const { visits, operations, attributesOf } = sums;
  const groups = new Map<number, Group>();
  const traces = new Set<number>();
  for (const row of rowsOf(service, sums)) {
    const split = visits.split[row] as number;
    const group = mapEntry(groups, split, () => ({
      attributes: attributesOf(split),
      requests: 0,
      failed: 0,
      slow: 0,
      rows: [],
    }));
    traces.add(visits.trace[row] as number);
    group.requests += 1;
    const limit = limits.get(operations[visits.operation[row] as number]?.operation ?? "");
    const hasFailed = visits.failed[row] === 1;
    const isSlow = !hasFailed && limit !== undefined && (visits.durationNanos[row] as number) > limit;
    if (hasFailed) group.failed += 1;
    if (isSlow) group.slow += 1;
    if (hasFailed || isSlow) keepRow(group, row, visits.trace);
  }
  const all = [...groups.values()];
  const requests = sumOf(all, (group) => group.requests);
  return {
    groups: all,
    requests,
    failed: sumOf(all, (group) => group.failed),
    slow: sumOf(all, (group) => group.slow),
    independent: requests === 0 ? 1 : traces.size / requests,
  };
}

/** Rows come in the order in which traces were added, which is not that of time. */
function keepRow({ rows }: Group, row: number, trace: Int32Array): void {
  const earlier = (a: number, b: number): number => (trace[a] as number) - (trace[b] as number) || a - b;
  if (rows.some((other) => trace[other] === trace[row])) return;
  rows.push(row);
  if (rows.length > exemplarCountMax) rows.sort(earlier).pop();
}

function onlyWhere(was: Groups, is: Groups, after: VisitSums): ContrastFact | null {
  const trouble = troubleOf(was, is);
  const isIn = ({ failed, slow }: Pick<Group, "failed" | "slow">): number =>
    (trouble === "slow" ? 0 : failed) + (trouble === "failed" ? 0 : slow);
  const usual = was.requests === 0 ? 0 : isIn(was) / was.requests;
  const search: Search = {
    isIn,
    usual,
    excess: isIn(is) - usual * is.requests,
    independent: is.independent,
    before: was.groups,
  };
  if (search.excess <= 0) return null;
  const first = narrow(is.groups, search);
  if (first === null) return null;
  const marked = is.groups.filter((group) => carries(group, first));
  const second = narrow(marked, search);
  const where = second === null ? [first] : [first, second];
  const inside = marked.filter((group) => second === null || carries(group, second));
  const share = shareOf(inside, search);
  const all = shareOf(is.groups, search);
  const rows = inside.flatMap((group) => group.rows).sort((a, b) => placeOf(after, a) - placeOf(after, b));
  return {
    kind: "only_where",
    where,
    trouble,
    inside: share,
    others: { count: all.count - share.count, of: all.of - share.of },
    coverage: coverageOf(share, search),
    traceIds: [...new Set(rows.map((row) => after.traceIds[placeOf(after, row)] ?? ""))].slice(
      0,
      exemplarCountMax,
    ),
  };
}

function placeOf({ visits }: VisitSums, row: number): number {
  return visits.trace[row] as number;
}

interface Search {
  /** how many of a group are in trouble */
  readonly isIn: (group: Pick<Group, "failed" | "slow">) => number;
  /** the part that is in trouble in a healthy time */
  readonly usual: number;
  /** in all, beyond that */
  readonly excess: number;
  readonly independent: number;
  readonly before: readonly Group[];
}

/** What is more frequent than usual: failures, slow requests, or both. */
function troubleOf(was: Groups, is: Groups): ContrastFact["trouble"] {
  const scale = was.requests === 0 ? 0 : is.requests / was.requests;
  const failed = Math.max(0, is.failed - was.failed * scale);
  const slow = Math.max(0, is.slow - was.slow * scale);
  if (slow <= sideTroubleMax * (failed + slow)) return "failed";
  return failed <= sideTroubleMax * (failed + slow) ? "slow" : "failed_or_slow";
}

function shareOf(groups: readonly Group[], { isIn }: Search): Share {
  return { count: sumOf(groups, isIn), of: sumOf(groups, ({ requests }) => requests) };
}

function coverageOf({ count, of }: Share, { usual, excess }: Search): number {
  return Math.max(0, Math.min(1, (count - usual * of) / excess));
}

function carries({ attributes }: Group, { key, value }: SplitAttribute): boolean {
  return attributes.some((each) => each.key === key && each.value === value);
}

/** The best value of one attribute. */
interface Split extends SplitAttribute {
  readonly inside: Share;
  readonly others: Share;
  readonly g: number;
  /** of the best of so many values */
  readonly chance: number;
}

/** The value that marks requests in trouble best; null where none does. */
function narrow(groups: readonly Group[], search: Search): MarkedValue | null {
  const all = shareOf(groups, search);
  const cells = new Map<string, Map<string, { count: number; of: number }>>();
  for (const group of groups)
    for (const { key, value } of group.attributes) {
      const cell = mapEntry(
        mapEntry(cells, key, () => new Map()),
        value,
        () => ({ count: 0, of: 0 }),
      );
      cell.count += search.isIn(group);
      cell.of += group.requests;
    }
  const splits = [...cells].flatMap(([key, values]) => bestOf(key, values, { all, search }) ?? []);
  const limit = discoveryLimit(
    splits.map(({ chance }) => chance),
    contrastRule.falseShare,
  );
  const found = splits.filter(
    ({ chance, g, inside, others }) =>
      chance <= limit &&
      g >= excessTestMin &&
      coverageOf(inside, search) >= contrastRule.coverageMin &&
      inside.count / inside.of >= (contrastRule.riskRatioMin * others.count) / others.of,
  );
  const [best] = found.sort((a, b) => b.g - a.g || byKey(a, b));
  if (best === undefined) return null;
  const { key, value, inside, others } = best;
  const isAlike = ({ inside: share }: Split): boolean =>
    share.count === inside.count && share.of === inside.of;
  const alike = found.filter((each) => each !== best && isAlike(each)).map((each) => attributeOf(each));
  const rest = [...(cells.get(key) ?? [])].filter(([other]) => other !== value);
  const [most] = rest.sort(([a, x], [b, y]) => y.of - x.of || (a < b ? -1 : 1));
  const isNew = !search.before.some((group) => carries(group, best));
  return { key, value, inside, others, otherValue: most?.[0] ?? null, isNew, alike };
}

function attributeOf({ key, value }: SplitAttribute): SplitAttribute {
  return { key, value };
}

function bestOf(
  key: string,
  values: ReadonlyMap<string, Share>,
  { all, search }: { readonly all: Share; readonly search: Search },
): Split | null {
  const { requestsMin, distinctShareMax } = contrastRule;
  if (values.size > distinctShareMax * all.of) return null;
  let best: Split | null = null;
  for (const [value, inside] of values) {
    const others = { count: all.count - inside.count, of: all.of - inside.of };
    if (Math.min(inside.of, others.of) < requestsMin) continue;
    const g = signedG(others, inside) * search.independent;
    const chance = Math.min(1, chanceOfG(g) * values.size);
    const isBetter = best === null || g > best.g || (g === best.g && value < best.value);
    if (isBetter) best = { key, value, inside, others, g, chance };
  }
  return best;
}

/** Of values that mark the same, what ran before where it ran. */
function byKey(a: SplitAttribute, b: SplitAttribute): number {
  const place = ({ key }: SplitAttribute): number => {
    const at = (splitKeys as readonly string[]).indexOf(key);
    return at < 0 ? splitKeys.length : at;
  };
  return place(a) - place(b) || (a.key < b.key ? -1 : 1);
}

/** The only instance whose part of the requests all but ended, where no new one came in its place. */
function goneInstance(was: Groups, is: Groups): EvidenceFact | null {
  const [before, after] = [requestsByInstance(was), requestsByInstance(is)];
  if ([...after.keys()].some((instance) => !before.has(instance))) return null;
  const gone = [...before].flatMap(([instance, count]) => {
    const shares = {
      before: { count, of: was.requests },
      after: { count: after.get(instance) ?? 0, of: is.requests },
    };
    const part = shares.after.count / Math.max(1, shares.after.of);
    const isGone =
      -signedG(shares.before, shares.after) * Math.min(was.independent, is.independent) >= excessTestMin &&
      part < (goneShareMax * count) / was.requests;
    return isGone ? [{ kind: "gone_instance", instance, ...shares } as const] : [];
  });
  return gone.length === 1 && before.size > 1 ? (gone[0] ?? null) : null;
}

function requestsByInstance({ groups }: Groups): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { attributes, requests } of groups)
    for (const { key, value } of attributes)
      if (key === instanceKey) counts.set(value, (counts.get(value) ?? 0) + requests);
  return counts;
}

function sumOf<T>(items: readonly T[], read: (item: T) => number): number {
  return items.reduce((sum, item) => sum + read(item), 0);
}
