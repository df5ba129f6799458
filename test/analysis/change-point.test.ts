import { expect, test } from "vitest";
import { changePointOf } from "../../src/analysis/change-point.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import { formatTime } from "../../src/model/time.ts";
import { tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";

interface Minute {
  readonly failed?: boolean;
  readonly ms?: number;
}

/** Twelve requests in each minute. */
function rollupOf(minutes: readonly Minute[]): ScopeRollup {
  const lines = minutes.flatMap(({ failed = false, ms = 20 }, minute) =>
    Array.from({ length: 12 }, (_, i) => {
      const at = minute * 60_000 + i * 5000;
      const error = failed && i % 2 === 0 ? "error" : "";
      return `web GET /cart ${at}..${at + ms + (i % 4)}ms server ${error} trace=${minute * 12 + i + 1}`;
    }),
  );
  const table = tableOf(lines.join("\n"));
  const rollup = new ScopeRollup({ learnsSteps: false });
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  return rollup;
}

function checkChange(
  minutes: readonly Minute[],
  expected: readonly [calmUntil: string, kind: string] | null,
) {
  const change = changePointOf(rollupOf(minutes));
  expect(change === null ? null : [formatTime(change.calmUntil).slice(11, 16), change.anomaly.kind]).toEqual(
    expected,
  );
}

const times = (count: number, minute: Minute = {}): readonly Minute[] =>
  Array.from({ length: count }, () => minute);

test("the calm part ends a minute before failures begin that there never were", () => {
  checkChange([...times(10), ...times(5, { failed: true })], ["00:08", "errors"]);
});

test("requests that take longer from some time on are a change, too", () => {
  checkChange([...times(10), ...times(5, { ms: 90 })], ["00:08", "latency"]);
});

test("a change that ended within the recording is found where it began", () => {
  checkChange([...times(10), ...times(5, { failed: true }), ...times(20)], ["00:08", "errors"]);
});

test("nothing has changed where all minutes are alike, good or bad", () => {
  checkChange(times(30), null);
  checkChange(times(30, { failed: true }), null);
});

test("what came and went before is no change", () => {
  const bad = times(2, { failed: true });
  checkChange([...bad, ...times(10), ...bad, ...times(10)], null);
});

test("without a calm part there is no change", () => {
  checkChange([], null);
  checkChange([...times(2), ...times(5, { failed: true })], null);
});

test("of a long recording whole stretches of minutes are looked at", () => {
  checkChange([...times(100), ...times(50, { failed: true })], ["01:35", "errors"]);
});
