import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { moveRow, rowTime } from "../src/formats/move-times.ts";
import { decodeSpans } from "../src/otlp/decode-body.ts";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import type { RowRef } from "../src/trace/trace.ts";
import { simulateCase } from "../test/simulator/case.ts";
import { filesOf } from "../test/simulator/write-case.ts";
import type { MeteredRun } from "./child.ts";
import type { BenchOptions } from "./main.ts";
import { type Row, wholeNumber } from "./measure.ts";
import { type Addresses, ask, startServer } from "./server.ts";
import { makeBatches } from "./span-fixtures.ts";

/** Seconds of each simulated window: what goes before must be long enough to know what is usual. */
const windowSeconds = 1_500;
const requestsPerSecond = 4;
/** Traffic without a fault that is played in real time before the fault begins, and how long it is waited for an incident. */
const leadMs = 20_000;
const patienceMs = 240_000;
const tickMs = 250;
/** Spans of other systems that come in meanwhile; so many traces begin every second that this is their rate too. */
const loadSpansPerSecond = 3_000;
const spansPerBatch = 500;
const earlierLoadEveryMs = 5_000;
const reportsAsked = 20;

interface LiveIncident {
  readonly faultType: string;
  readonly services: number;
  readonly seed: number;
}

const played: readonly LiveIncident[] = [
  { faultType: "error", services: 60, seed: 12_001 },
  { faultType: "latency", services: 60, seed: 12_002 },
  { faultType: "db_slow", services: 200, seed: 12_003 },
];

/**
 * Incidents in real time at a real server that is under load: how long it takes to notice them, how far the analysis is behind
 * meanwhile, and what a report of ten minutes costs. What was usual is sent before, as fast as it is taken.
 */
export async function benchIncidents({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const incident of isQuick ? played.slice(0, 1) : played) rows.push(...(await playIncident(incident)));
  return rows;
}

async function playIncident({ faultType, services, seed }: LiveIncident): Promise<readonly Row[]> {
  const spans = simulated({ faultType, services, seed });
  const { run, addresses } = await startServer();
  const agent = new Agent({ keepAlive: true });
  const stop = new AbortController();
  try {
    const begin = Date.now();
    await sendInBatches(shiftedRows(spans.baseline, begin - spans.baselineEndMs), { addresses, agent });
    await sendEarlierLoad(begin, { addresses, agent });
    const backfillSeconds = (Date.now() - begin) / 1000;
    const load = sendLoad({ addresses, agent }, stop.signal);
    // the gap between both windows is left out
    const faultMs = Date.now() + leadMs;
    const rows = shiftedRows(spans.incident, faultMs - spans.faultMs).filter(({ ms }) => ms > begin);
    const seen = await playUntilSeen(rows, { addresses, agent, faultMs });
    const reportMs = await cpuOfReports(run, { addresses, agent });
    stop.abort();
    await load;
    const subject = `incident "${faultType}", ${services} services, ${wholeNumber(loadSpansPerSecond)} other spans/s`;
    const isRight = spans.causes.includes(seen.cause ?? "");
    return [
      {
        subject: `${subject}: delay`,
        result: seen.delayMs === null ? "not noticed" : `${(seen.delayMs / 1000).toFixed(0)} s`,
        bar: "< 120 s",
        note: `from the start of the fault until it was opened; ${isRight ? "the right cause first" : `first cause ${seen.cause ?? "none"}`}; ${wholeNumber(spans.baseline.length)} spans of 25 minutes before, taken in ${backfillSeconds.toFixed(0)} s`,
      },
      {
        subject: `${subject}: lag`,
        result: `${seen.lagSecondsMax.toFixed(1)} s, ${wholeNumber(seen.lagSpansMax)} spans`,
        note: "at most: how late a trace was folded, and spans that waited, those that wait for their trace to fall silent included",
      },
      {
        subject: `report of 10 minutes against the 25 before, ${services} services`,
        result: `${reportMs.toFixed(0)} ms CPU`,
        bar: "< 200 ms",
        note: `mean of ${reportsAsked} over HTTP, with what the load takes meanwhile taken off`,
      },
    ];
  } finally {
    stop.abort();
    agent.destroy();
    await run.stop();
  }
}

interface SimulatedSpans {
  readonly baseline: readonly TimedRow[];
  readonly baselineEndMs: number;
  readonly incident: readonly TimedRow[];
  readonly faultMs: number;
  /** names that are right */
  readonly causes: readonly string[];
}

/** A span, and when it was over, in Unix milliseconds. */
interface TimedRow extends RowRef {
  readonly ms: number;
}

function simulated({ faultType, services, seed }: LiveIncident): SimulatedSpans {
  const windowMs = windowSeconds * 1000;
  const requests = windowSeconds * requestsPerSecond;
  const one = simulateCase({ faultType, services, seed, requests, windowMs, sampleEveryMs: windowMs });
  const { baseline, incident, truth } = filesOf(one, { dataset: "live", lostShare: 0 });
  const {
    windows,
    inject_time_unix_s: seconds,
    ...label
  } = truth as unknown as {
    readonly windows: { readonly baseline: readonly [readonly [string, string]] };
    readonly inject_time_unix_s: number;
    readonly root_cause_service: string;
    readonly accept?: readonly string[];
  };
  return {
    baseline: timedRows(baseline),
    baselineEndMs: Number(BigInt(windows.baseline[0][1]) / 1_000_000n),
    incident: timedRows(incident),
    faultMs: seconds * 1000,
    causes: [label.root_cause_service, ...(label.accept ?? [])],
  };
}

function timedRows(lines: readonly string[]): readonly TimedRow[] {
  return lines
    .flatMap((line) => {
      const { table } = decodeSpans("json", Buffer.from(line));
      return Array.from({ length: table.rowCount }, (_, row) => ({
        table,
        row,
        ms: Number(rowTime(table, row)) / 1e6,
      }));
    })
    .sort((a, b) => a.ms - b.ms);
}

/** Moves the times of all spans, and answers them. */
function shiftedRows(rows: readonly TimedRow[], shiftMs: number): readonly TimedRow[] {
  const move = { from: 0n, to: BigInt(Math.round(shiftMs)) * 1_000_000n, speed: 1 };
  for (const { table, row } of rows) moveRow(table, row, move);
  return rows.map((row) => ({ ...row, ms: row.ms + Math.round(shiftMs) }));
}

interface Target {
  readonly addresses: Addresses;
  readonly agent: Agent;
}

const otlpHeaders = { "content-type": "application/x-protobuf" };

async function sendInBatches(rows: readonly RowRef[], { addresses, agent }: Target): Promise<void> {
  for (let at = 0; at < rows.length; at += spansPerBatch) {
    const body = encodeTraces(rows.slice(at, at + spansPerBatch));
    await ask(`http://${addresses.http}/v1/traces`, { agent, headers: otlpHeaders, body });
  }
}

/** The other systems were there before: some of what they did, spread evenly. */
async function sendEarlierLoad(endMs: number, target: Target): Promise<void> {
  const count = Math.round((windowSeconds * 1000) / earlierLoadEveryMs);
  let left = count;
  for (const rows of makeBatches({ spans: count * spansPerBatch, spansPerBatch, seed: 5 })) {
    moveTo(rows, endMs - left * earlierLoadEveryMs);
    await sendInBatches(rows, target);
    left -= 1;
  }
}

/** Spans of other systems at their own pace, until it is told to end. */
async function sendLoad(target: Target, signal: AbortSignal): Promise<void> {
  const begin = performance.now();
  let sent = 0;
  for (const rows of makeBatches({ spans: Number.POSITIVE_INFINITY, spansPerBatch, seed: 4 })) {
    if (signal.aborted) return;
    moveTo(rows, Date.now());
    await sendInBatches(rows, target);
    sent += rows.length;
    await pause(Math.max(0, begin + (sent * 1000) / loadSpansPerSecond - performance.now()));
  }
}

/** Moves the spans of a batch, so that its first one is over at a time. */
function moveTo(rows: readonly RowRef[], ms: number): void {
  const [first] = rows;
  if (first === undefined) return;
  const firstMs = rowTime(first.table, first.row) / 1_000_000n;
  const move = { from: 0n, to: (BigInt(ms) - firstMs) * 1_000_000n, speed: 1 };
  for (const { table, row } of rows) moveRow(table, row, move);
}

interface Seen {
  readonly delayMs: number | null;
  readonly cause: string | null;
  readonly lagSecondsMax: number;
  readonly lagSpansMax: number;
}

interface IncidentList {
  readonly incidents: readonly {
    readonly detected: string;
    readonly cause: { readonly service: string } | null;
  }[];
  readonly lag: { readonly seconds: number; readonly spans: number };
}

/** Sends each span when it is over, and asks every second, until there is an incident that began with the fault. */
async function playUntilSeen(
  rows: readonly TimedRow[],
  { faultMs, ...target }: Target & { readonly faultMs: number },
): Promise<Seen> {
  let [at, lagSecondsMax, lagSpansMax, askedMs] = [0, 0, 0, 0];
  while (Date.now() < faultMs + patienceMs) {
    const now = Date.now();
    const end = rows.findIndex(({ ms }, i) => i >= at && ms > now);
    await sendInBatches(rows.slice(at, end < 0 ? undefined : end), target);
    at = end < 0 ? rows.length : end;
    if (now - askedMs >= 1000) {
      askedMs = now;
      const { agent, addresses } = target;
      const answer = JSON.parse(
        await ask(`http://${addresses.api}/api/v1/incidents`, { agent }),
      ) as IncidentList;
      lagSecondsMax = Math.max(lagSecondsMax, answer.lag.seconds);
      lagSpansMax = Math.max(lagSpansMax, answer.lag.spans);
      const first = answer.incidents.findLast(({ detected }) => Date.parse(detected) >= faultMs);
      if (first !== undefined)
        return {
          delayMs: Date.parse(first.detected) - faultMs,
          cause: first.cause?.service ?? null,
          lagSecondsMax,
          lagSpansMax,
        };
    }
    await pause(Math.max(0, now + tickMs - Date.now()));
  }
  return { delayMs: null, cause: null, lagSecondsMax, lagSpansMax };
}

/** CPU of the server for one report, less what it takes anyway. */
async function cpuOfReports(run: MeteredRun, { addresses, agent }: Target): Promise<number> {
  const question = { from: "now-10m", baseline_from: "now-35m", baseline_to: "now-10m" };
  const body = Buffer.from(JSON.stringify(question));
  const headers = { "content-type": "application/json" };
  const askOne = (): Promise<string> =>
    ask(`http://${addresses.api}/api/v1/analyze`, { agent, headers, body });
  // code that has just been loaded is slow
  for (let i = 0; i < reportsAsked; i += 1) await askOne();
  const before = await run.usage();
  const begin = performance.now();
  for (let i = 0; i < reportsAsked; i += 1) await askOne();
  const took = performance.now() - begin;
  const after = await run.usage();
  await pause(took);
  const idle = await run.usage();
  const used = after.cpuSeconds - before.cpuSeconds - (idle.cpuSeconds - after.cpuSeconds);
  return (used * 1000) / reportsAsked;
}
