import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { headBytes, readHead } from "../../src/storage/disk/record.ts";
import type { RunningServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { eventually } from "../storage/disk/log-folder.ts";
import type { Ledger, Sent } from "./ledger.ts";

/**
 * Compares what a server answers with what was acknowledged: each span is read as often as it came at most, and counts once. Answers
 * how many must still be there.
 */
export async function checkLedger(
  { api }: RunningServer,
  { sent, agent }: Ledger,
  folder: string,
): Promise<number> {
  const get = async (path: string): Promise<string> =>
    (await ask(`http://${api}${path}`, { agent })).body.toString();
  await expect
    .poll(() => get("/metrics"), eventually)
    .toMatch(/^hypocenter_open_traces 0$[\s\S]*^hypocenter_restoring 0$/m);
  const traces = new Map<number, Sent[]>();
  for (const each of sent) traces.set(each.trace, [...(traces.get(each.trace) ?? []), each]);
  const found = await searched(get);
  const texts = new Map<number, string>();
  const queue = [...traces.keys()];
  const read = async (): Promise<void> => {
    for (let trace = queue.pop(); trace !== undefined; trace = queue.pop())
      texts.set(trace, await get(`/api/v1/traces/${idOf(trace)}`));
  };
  await Promise.all(Array.from({ length: 8 }, read));

  // Retention goes on while all that is read: what it has not come to by now has to have been there.
  const logs = logsIn(folder);
  const keptSinceMs = logs.some((name) => name.startsWith("traces-000000000001-"))
    ? 0
    : arrivalMsOf(folder, logs);
  const wrong: string[] = [];
  let checked = 0;
  for (const [trace, all] of traces) {
    const due = all.filter(({ acknowledgedFrom }) => (acknowledgedFrom ?? 0) > keptSinceMs);
    if (due.length === 0) continue;
    checked += due.length;
    const copies = (part: number): number =>
      (texts.get(trace) ?? "").split(`"span-${trace}-${part}"`).length - 1;
    // What was sent again is kept as often as it came, and counts once.
    const isThere = due.every(({ part, attempts }) => copies(part) >= 1 && copies(part) <= attempts);
    // A trace of which a part was removed is found as it was, until its newest segment goes.
    const [count, ...more] = found.get(trace) ?? [];
    const isCounted = due.length === 2 ? count === 2 : count === 1 || count === 2;
    if (isThere && isCounted && more.length === 0) continue;
    const counts = due.map(
      ({ part, attempts }) => `part ${part} sent ${attempts} times and read ${copies(part)} times`,
    );
    wrong.push(`${trace}: ${counts.join(", ")}, found ${found.get(trace)?.join(" and ")}`);
  }
  expect(wrong).toEqual([]);
  return checked;
}

/** The segments of spans, oldest first. */
export function logsIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => /^traces-.*\.log$/.test(name))
    .sort();
}

/** All traces of the ledger that a search finds, by number: the counts of spans of each time that it is found. */
async function searched(
  get: (path: string) => Promise<string>,
): Promise<ReadonlyMap<number, readonly number[]>> {
  const found = new Map<number, number[]>();
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Page = JSON.parse(
      await get(`/api/v1/traces?service=web&limit=1000${cursor === "" ? "" : `&cursor=${cursor}`}`),
    ) as Page;
    for (const { trace_id: id, span_count: count } of page.traces) {
      const trace = Number.parseInt(id, 16);
      found.set(trace, [...(found.get(trace) ?? []), count]);
    }
    cursor = page.cursor;
  }
  return found;
}

interface Page {
  readonly traces: readonly { readonly trace_id: string; readonly span_count: number }[];
  readonly cursor: string | null;
}

/** When the first record of the oldest segment with any came: what was sent after that is not removed. */
function arrivalMsOf(folder: string, logs: readonly string[]): number {
  for (const name of logs) {
    const bytes = Buffer.alloc(headBytes);
    const fd = openSync(join(folder, name), "r");
    readSync(fd, bytes, 0, headBytes, 0);
    closeSync(fd);
    const head = readHead(bytes, 0, Number.parseInt(name.slice(20, 28), 16));
    if (head !== null) return Number(head.arrivalTime / 1_000_000n);
  }
  return Number.POSITIVE_INFINITY;
}

function idOf(trace: number): string {
  return trace.toString(16).padStart(32, "0");
}
