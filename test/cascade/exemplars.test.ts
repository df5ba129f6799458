import { expect, test } from "vitest";
import type { Candidate, EvidenceFact } from "../../src/cascade/candidate.ts";
import { exemplarsOf } from "../../src/cascade/exemplars.ts";
import type { LogLines } from "../../src/cascade/signals.ts";
import { tracesText, visitSumsOf } from "../visit-sums.ts";

const none = { count: 0, of: 10 };
const slower = {
  kind: "became_slower", service: "cart", caller: "cart", callee: "cart", operation: "GET /items", isPeer: false, isMessage: false,
  addedNanos: 1, slower: 1, series: 1, beforeNanos: 1, afterNanos: 2, before: 9, after: 9, tail: null, z: 5,
} as const; // biome-ignore format: a record of figures
const symptom = {
  kind: "symptom", service: "web", operation: "GET /cart", name: "GET /items", callee: "cart", before: none, after: none, leaf: 1,
} as const; // biome-ignore format: a record of figures

/** The third of six requests does not ask cart; the fifth waits longest for it. */
const visits = visitSumsOf(
  tracesText(6, (i) =>
    [
      "web    GET /cart    0..90ms TRACE",
      ...(i === 2
        ? []
        : ["  web  call        10..80ms", `    cart GET /items 15..${i === 4 ? 70 : 30 + i}ms`]),
    ].join("\n"),
  ),
);
const line = { service: "web", spanId: "", text: "out of <*>", isError: true };
const lines: LogLines = {
  byTrace: new Map([
    [idOf(2), [line]],
    [idOf(1), [{ ...line, text: "ok" }]],
  ]),
  lines: 2,
};

function idOf(trace: number): string {
  return trace.toString(16).padStart(32, "0");
}

function checkExemplars(evidence: readonly EvidenceFact[], traces: readonly number[]): void {
  const candidate: Candidate = {
    service: "web", kind: "latency", score: 1, operation: null, instance: null, edge: null, evidence,
  }; // biome-ignore format: a record
  expect(exemplarsOf(candidate, { visits, lines })).toEqual(traces.map(idOf));
}

test("what became slower shows in the slowest requests", () => {
  checkExemplars([{ ...slower, role: "own" }], [5, 6, 4]);
});

test("a call that became slower shows in those that lost most on the way", () => {
  checkExemplars([{ ...slower, role: "calling", caller: "web" }], [1, 2, 4]);
});

test("a step that is missing shows in the requests without it, one that is new in those with it", () => {
  checkExemplars([{ ...symptom, signal: "structure", label: "call", g: -9 }], [3]);
  checkExemplars([{ ...symptom, signal: "structure", label: "call", g: 9 }], [1, 2, 4]);
});

test("a line shows in the requests that wrote it, and a fact that no request can show is passed over", () => {
  const gone: EvidenceFact = { kind: "gone_instance", instance: "a", before: none, after: none };
  checkExemplars(
    [gone, { ...symptom, signal: "logs", label: "line", name: "out of <*>", callee: "", g: 9 }],
    [2],
  );
  checkExemplars([gone], []);
});
