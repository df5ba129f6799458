import { describe, expect, test } from "vitest";
import { analyzeWindow, WindowRollup, type WindowSums } from "../../src/analysis/analyze-window.ts";
import type { WindowReport } from "../../src/analysis/report.ts";
import { tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";

/** How one recording goes: what the database takes, how many requests fail there, and how many do a further step. */
interface Piece {
  readonly dbMs?: number;
  readonly failed?: number;
  readonly refreshed?: number;
}

const requestsPerPiece = 300;

/** The same numbers for the same seed, 0..1. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** Recordings one after the other, from place `first` on. */
function windowOf(pieces: readonly Piece[], first: number): WindowSums {
  const random = randomNumbers(first + 1);
  const lines = pieces.flatMap(({ dbMs = 10, failed = 0, refreshed = 0 }, piece) =>
    Array.from({ length: requestsPerPiece }, (_, i) => {
      const number = (first + piece) * requestsPerPiece + i;
      const at = number * 1000;
      const db = dbMs * (0.8 + 0.4 * random());
      const error = random() < failed ? "error" : "";
      const step = random() < refreshed ? `\n    cart refresh ${at + 6}..${at + 7}ms internal` : "";
      return `
web      GET /cart  ${at}..${at + db + 30}ms  server ${error} trace=${number + 1}
  cart   GET /items ${at + 5}..${at + db + 20}ms   server ${error}
    cart SELECT     ${at + 10}..${at + 10 + db}ms client ${error} db.system=mysql db.name=orders${step}`;
    }),
  );
  const table = tableOf(lines.join("\n"));
  const rollup = new WindowRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  return rollup.window();
}

function reportOf(baseline: readonly Piece[], window: Piece): WindowReport {
  return analyzeWindow(windowOf([window], baseline.length), windowOf(baseline, 0), { language: "en" });
}

const [fast, slow]: readonly [Piece, Piece] = [{ dbMs: 10 }, { dbMs: 15 }];
const ofDb = (values: readonly number[]): readonly Piece[] => values.map((dbMs) => ({ dbMs }));
const ofFailed = (values: readonly number[]): readonly Piece[] => values.map((failed) => ({ failed }));
const ofRefreshed = (values: readonly number[]): readonly Piece[] =>
  values.map((refreshed) => ({ refreshed }));

describe("nothing is wrong where a figure", () => {
  test.each<readonly [string, readonly Piece[], Piece]>([
    ["drifts: times", ofDb([10, 11, 12, 13, 14, 15]), { dbMs: 16 }],
    ["drifts: failures", ofFailed([0.02, 0.05, 0.08, 0.11, 0.14, 0.17]), { failed: 0.2 }],
    ["drifts: steps", ofRefreshed([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), { refreshed: 0.7 }],
    ["differs from day to day: times of two days", [fast, slow], slow],
    ["differs from day to day: times of three days", [slow, fast, slow], slow],
    ["differs from day to day: times of four days", [fast, slow, fast, slow], slow],
    ["differs from day to day: failures", ofFailed([0, 0.2, 0, 0.2]), { failed: 0.2 }],
    ["differs from day to day: steps", ofRefreshed([0.1, 0.6, 0.1, 0.6]), { refreshed: 0.6 }],
    ["differs from day to day: steps of some days alone", ofRefreshed([0, 1, 0, 1]), { refreshed: 1 }],
  ])("%s", (_, baseline, window) => {
    expect(reportOf(baseline, window)).toMatchObject({ healthy: true, root_cause_candidates: [] });
  });
});

describe("something is wrong where", () => {
  test.each<readonly [string, readonly Piece[], Piece, string]>([
    ["the time before was steady", [fast, fast, fast, fast, fast, fast], slow, "latency"],
    ["only the end of the time before was slow, too", [fast, fast, fast, fast, fast, slow], slow, "latency"],
    ["it happened once before", [fast, fast, slow, fast, fast, fast], slow, "latency"],
    ["it is far beyond what days differ by: times", [fast, slow, fast, slow], { dbMs: 40 }, "latency"],
    ["it is far beyond what days differ by: failures", ofFailed([0, 0.1, 0, 0.1]), { failed: 0.5 }, "error"],
    ["it is far beyond drift", ofDb([10, 11, 12, 13, 14, 15]), { dbMs: 40 }, "latency"],
  ])("%s", (_, baseline, window, kind) => {
    const [first] = reportOf(baseline, window).root_cause_candidates;
    expect(first).toMatchObject({ service: "orders", kind });
  });
});
