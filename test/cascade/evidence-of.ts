import { type TraceEvidence, traceEvidence } from "../../src/cascade/trace-evidence.ts";
import { Usual } from "../../src/cascade/usual.ts";
import { failureOrigins } from "../../src/trace/error-origin.ts";
import { tracesOf } from "../notation.ts";
import { scopeOf } from "../scopes.ts";

/** What the first trace of a text shows, with all of the text as scope, and against a baseline where one is given. */
export function evidenceOf(
  text: string,
  baselineText: string | null = null,
  isComplete = true,
): TraceEvidence {
  const scope = scopeOf(text);
  const [trace] = tracesOf(text, scope.directory);
  const usual = new Usual(scope, baselineText === null ? null : scopeOf(baselineText));
  const origins = failureOrigins(trace!, (service, operation) => usual.durationNanos(service, operation));
  return traceEvidence({ trace: trace!, isComplete, origins, linked: [], scope, usual });
}

/** Candidates as `service kind score`. */
export function candidatesOf(text: string, baselineText: string | null = null): readonly string[] {
  return evidenceOf(text, baselineText).candidates.map(
    ({ service, kind, score }) => `${service} ${kind} ${score.toFixed(2)}`,
  );
}

/** The first candidate as `service kind`. */
export function causeOf(text: string, baselineText: string | null = null): string {
  return candidatesOf(text, baselineText)[0]?.replace(/ [\d.]+$/, "") ?? "none";
}

/** The same request many times, each a trace of its own. */
export function times(count: number, request: string, firstTrace = 100): string {
  const [first = "", ...others] = request.split("\n").filter((line) => line.trim() !== "");
  return Array.from({ length: count }, (_, i) =>
    [`${first} trace=${firstTrace + i}`, ...others, ""].join("\n"),
  ).join("");
}
