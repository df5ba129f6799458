import { entryKey } from "../cascade/blame.ts";
import { overflowName } from "../model/limits.ts";
import type { Problem } from "../model/problems.ts";
import { knownRequestsShareMin } from "../model/scoring.ts";
import type { WindowSums } from "./analyze-window.ts";
import type { Scope } from "./scope.ts";

/** Whether two times can be compared, and what a reader has to know where they have little in common. */
export interface CommonGround {
  readonly isComparable: boolean;
  readonly problems: readonly Problem[];
}

/** Names of one side that a problem lists. */
const namesMax = 10;

const allInCommon: CommonGround = { isComparable: true, problems: [] };

/**
 * What a window and its healthy time have in common: without a service that sent spans in both there is nothing to compare,
 * and where the healthy time does not know most requests of the window, that is told. A
 * window without spans lacks nothing.
 */
export function commonGround(window: WindowSums, baseline: WindowSums): CommonGround {
  const services = commonServices(sendersOf(window.scope), baseline.scope);
  if (!services.isComparable) return services;
  const entries = [...window.blame.entries.values()];
  const requests = sumOf(entries.map(({ cell }) => cell.requests));
  const unknown = entries.filter(
    ({ service, operation }) => !baseline.blame.entries.has(entryKey(service, operation)),
  );
  const strange = sumOf(unknown.map(({ cell }) => cell.requests));
  if (baseline.blame.entries.size === 0 || strange <= requests * (1 - knownRequestsShareMin))
    return allInCommon;
  const names = unknown.map(({ service, operation }) => `${service} ${operation}`);
  const message = `The baseline does not have the entry operations of most requests: only the others are compared with it. Not in the baseline: ${listOf(names)}`;
  return { isComparable: true, problems: [unlike(message, strange)] };
}

/** The same of some services alone, those of a trace or a window. */
export function commonServices(services: readonly string[], baseline: Scope): CommonGround {
  const known = sendersOf(baseline);
  const isShared = new Set(known);
  if (services.length === 0 || services.some((name) => isShared.has(name))) return allInCommon;
  const message =
    known.length === 0
      ? "The baseline has no spans, so nothing is compared with it"
      : `The baseline has no service in common with what is analysed, so nothing is compared with it. Analysed: ${listOf(services)}. Baseline: ${listOf(known)}`;
  return { isComparable: false, problems: [unlike(message, services.length)] };
}

/** The services of which spans were seen. */
function sendersOf({ red }: Scope): readonly string[] {
  return red.services.filter((name) => name !== overflowName && !red.isInferred(name));
}

function unlike(message: string, count: number): Problem {
  return { kind: "unlike_baseline", message, count: Math.round(count), spans: [] };
}

function listOf(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, namesMax).join(", ");
  return names.length > namesMax ? `${shown} (+${names.length - namesMax})` : shown;
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
