import { formatDuration } from "../../advice/format-duration.ts";
import type { FailingPathJson, Language } from "../../analysis/report.ts";
import type { Outcome, TreeRow } from "./document.ts";
import { label } from "./labels.ts";

/** A path with more rows is cut in the middle: its two ends say what failed and what the user saw. */
const headRowCount = 12;
const tailRowCount = 24;
/** Deeper rows stay at this indentation. */
const shownDepthMax = 10;

/** The failing path (in tree order) with the lines that connect its rows; folded siblings get a row of their own. */
export function treeRows(
  path: readonly FailingPathJson[],
  { language, isFine }: { readonly language: Language; readonly isFine: boolean },
): readonly TreeRow[] {
  const shown =
    path.length <= headRowCount + tailRowCount
      ? path
      : [...path.slice(0, headRowCount), ...path.slice(-tailRowCount)];
  const cutCount = path.length - shown.length;
  const entries: { readonly depth: number; readonly row: FailingPathJson | string }[] = [];
  for (const [index, row] of shown.entries()) {
    const depth = Math.min(row.depth, shownDepthMax);
    if (cutCount > 0 && index === headRowCount)
      entries.push({ depth, row: label("spans_between", language, { n: cutCount }) });
    for (const text of besideTexts(row, language)) entries.push({ depth, row: text });
    entries.push({ depth, row });
  }
  const originLabel = label(path.some(({ failed }) => failed) ? "began_here" : "time_went", language);
  const depths = entries.map(({ depth }) => depth);
  return entries.map(({ depth, row }, index): TreeRow => {
    const place = {
      depth,
      rails: Array.from({ length: Math.max(0, depth - 1) }, (_, level) => hasMore(depths, index, level + 1)),
      isLast: !hasMore(depths, index, depth),
    };
    if (typeof row === "string") return { kind: "folded", ...place, text: row };
    const { service, operation, start_ms: startMs, duration_ms: durationMs, error } = row;
    // of a request that nothing is wrong with, somebody has to take the longest
    const origin = row.role === "origin" && !isFine ? originLabel : null;
    const outcome: Outcome | null = row.failed ? "failed" : origin === null ? null : "notice";
    return { kind: "span", ...place, outcome, origin, service, operation, startMs, durationMs, error };
  });
}

/** What is folded beside a row: spans that are alike in one line each, then how many others there are. */
function besideTexts(
  { hidden_siblings: hidden, hidden_groups: groups = [] }: FailingPathJson,
  language: Language,
): readonly string[] {
  const texts = groups.map(({ service, operation, spans, failed, total_ms: total, max_ms: max }) =>
    label(failed > 0 ? "alike_beside_failed" : "alike_beside", language, {
      n: spans,
      name: `${service} ${operation}`,
      total: formatDuration(total * 1e6),
      max: formatDuration(max * 1e6),
      failed,
    }),
  );
  const others = groups.reduce((left, { spans }) => left - spans, hidden);
  return others > 0 ? [...texts, label("more_beside", language, { n: others })] : texts;
}

/** Whether another row of this depth follows below the same parent. */
function hasMore(depths: readonly number[], index: number, depth: number): boolean {
  for (let i = index + 1; i < depths.length; i += 1) {
    const next = depths[i] as number;
    if (next < depth) return false;
    if (next === depth) return true;
  }
  return false;
}
