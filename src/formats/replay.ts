import { setTimeout as sleep } from "node:timers/promises";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { Signal } from "../engine/ports.ts";
import { replayInFlightMax, replayItemsMax, replayPatienceMs, replayPauseMsMax } from "../model/limits.ts";
import type { Problem } from "../model/problems.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { encodeLogs } from "../otlp/encode-logs.ts";
import { encodeMetrics } from "../otlp/encode-metrics.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import type { ByteSource } from "./byte-source.ts";
import { grpcTarget } from "./grpc-target.ts";
import type { ClientTls } from "./http-request.ts";
import { httpTarget } from "./http-target.ts";
import type { Delivery, OtlpTarget } from "./otlp-target.ts";
import { type Counts, type ReadSummary, readTelemetry, type TelemetrySink } from "./read-telemetry.ts";
import { repairTimes } from "./repair-times.ts";
import { newestTime, shiftLogs, shiftPoints, shiftTable, tableTimesMs } from "./shift-times.ts";

export interface ReplayOptions {
  /** how many times as fast as it happened; Infinity = as fast as the receiver takes it */
  readonly speed: number;
  /** `now` moves all times by one amount: at speed 1 the first span is now, at other speeds the newest one */
  readonly times: "original" | "now";
  readonly headers?: Readonly<Record<string, string>>;
  /** for https and grpcs addresses */
  readonly tls?: ClientTls;
  readonly onProgress?: (progress: ReplayProgress) => void;
  readonly onProblem?: (problem: Problem) => void;
}

interface ReplayProgress {
  readonly bytesRead: number;
  readonly bytesTotal: number | null;
  readonly spans: Counts;
  readonly retries: number;
}

/** What was read, and what the receiver took of it. */
export interface ReplaySummary {
  readonly read: ReadSummary;
  readonly requests: number;
  readonly retries: number;
  readonly spans: Counts;
  readonly points: Counts;
  readonly logs: Counts;
  /** what the receiver said of what it did not take, with how many items that were */
  readonly refusals: ReadonlyMap<string, number>;
}

/**
 * Sends saved telemetry to an OTLP receiver (`http://host:4318`, `https://…`, `grpc://host:4317`, `grpcs://…`), in the order
 * of the file, within a part of it in the order of time. A busy receiver is waited for; what it refuses for good is counted.
 * Rejects with `server_unreachable` when nobody answers, when the receiver stays busy for minutes, or when it takes nothing.
 */
export async function replayTelemetry(
  inputs: readonly (string | ByteSource)[],
  target: string,
  options: ReplayOptions,
): Promise<ReplaySummary> {
  const receiver = targetOf(target, options);
  const shift = await shiftInAdvance(inputs, options);
  const replay = new Replay(receiver, target, options, shift);
  try {
    const read = await readTelemetry(inputs, replay, {
      tableRows: replayItemsMax * 8,
      onProgress: ({ bytesRead, bytesTotal }) =>
        options.onProgress?.({ bytesRead, bytesTotal, spans: replay.counts.traces, retries: replay.retries }),
    });
    return await replay.finish(read);
  } finally {
    replay.stop();
    receiver.close();
  }
}

function targetOf(target: string, { headers = {}, tls = {} }: ReplayOptions): OtlpTarget {
  const address = target.includes("://") ? target : `http://${target}`;
  const url = URL.canParse(address) ? new URL(address) : null;
  const scheme = url?.protocol;
  if (url !== null && (scheme === "http:" || scheme === "https:")) {
    url.pathname = url.pathname.replace(/\/v1\/(traces|metrics|logs)\/?$/, "");
    return httpTarget(url, headers, tls);
  }
  if (url !== null && url.host !== "" && (scheme === "grpc:" || scheme === "grpcs:"))
    return grpcTarget(url.host, scheme === "grpcs:" ? tls : null, headers);
  throw new OperationError(
    "usage",
    `${target} is no address of an OTLP receiver`,
    "give it as http://127.0.0.1:4318 or grpc://127.0.0.1:4317",
  );
}

/** Nanoseconds to add to all times; null = known when the first span is there. */
async function shiftInAdvance(
  inputs: readonly (string | ByteSource)[],
  { speed, times }: ReplayOptions,
): Promise<bigint | null> {
  if (times === "original") return 0n;
  if (speed === 1) return null;
  if (inputs.includes("-"))
    throw new OperationError(
      "usage",
      "standard input cannot be moved to now, because its newest span is known only at its end",
      "save it to a file first, or use --speed 1 (then the first span is now)",
    );
  const now = BigInt(Date.now()) * 1_000_000n;
  // A clock that runs more than a day ahead would move everything else into the past.
  const latest = now + 86_400_000_000_000n;
  let newest = 0n;
  const note = (time: bigint): void => {
    if (time > newest && time <= latest) newest = time;
  };
  const sink: TelemetrySink = {
    traces(table) {
      repairTimes(table);
      note(newestTime(table, latest));
    },
    metrics: (points) => {
      for (const { time } of points) note(time);
    },
    logs: (records) => {
      for (const { time } of records) note(time);
    },
    problem: () => {},
  };
  await readTelemetry(inputs, sink);
  return newest === 0n ? 0n : now - newest;
}

interface Batch {
  readonly signal: Signal;
  readonly items: number;
  readonly request: Uint8Array;
}

class Replay implements TelemetrySink {
  readonly counts = {
    traces: { accepted: 0, rejected: 0 },
    metrics: { accepted: 0, rejected: 0 },
    logs: { accepted: 0, rejected: 0 },
  };
  retries = 0;
  #requests = 0;
  readonly #refusals = new Map<string, number>();
  readonly #target: OtlpTarget;
  readonly #address: string;
  readonly #options: ReplayOptions;
  readonly #abort = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  #failure: unknown = null;
  #isAnswered = false;
  #shift: bigint | null;
  /** wall clock minus span time, milliseconds; set by the first item that is sent at its time */
  #lag: number | null = null;

  constructor(target: OtlpTarget, address: string, options: ReplayOptions, shift: bigint | null) {
    this.#target = target;
    this.#address = address;
    this.#options = options;
    this.#shift = shift;
  }

  async traces(table: SpanTable): Promise<void> {
    for (const problem of repairTimes(table)) this.problem(problem);
    const times = tableTimesMs(table);
    shiftTable(table, this.#shiftOf(times));
    for (const rows of this.#batches(times)) {
      await this.#waitFor(times, rows);
      const request = encodeTraces(rows.map((row) => ({ table, row })));
      await this.#send({ signal: "traces", items: rows.length, request });
    }
  }

  async metrics(points: readonly MetricPoint[]): Promise<void> {
    const times = Float64Array.from(points, ({ time }) => Number(time) / 1e6);
    const shifted = shiftPoints(points, this.#shiftOf(times));
    for (const some of this.#batches(times)) {
      await this.#waitFor(times, some);
      const request = encodeMetrics(some.map((at) => shifted[at] as MetricPoint));
      await this.#send({ signal: "metrics", items: some.length, request });
    }
  }

  async logs(records: readonly LogRecord[]): Promise<void> {
    const times = Float64Array.from(records, ({ time, observedTime }) => Number(time || observedTime) / 1e6);
    const shifted = shiftLogs(records, this.#shiftOf(times));
    for (const some of this.#batches(times)) {
      await this.#waitFor(times, some);
      const request = encodeLogs(some.map((at) => shifted[at] as LogRecord));
      await this.#send({ signal: "logs", items: some.length, request });
    }
  }

  problem(problem: Problem): void {
    this.#options.onProblem?.(problem);
  }

  /** Waits for the last answers. */
  async finish(read: ReadSummary): Promise<ReplaySummary> {
    await Promise.all(this.#inFlight);
    this.#throwFailure();
    const { traces, metrics, logs } = this.counts;
    const [firstRefusal] = this.#refusals.keys();
    if (firstRefusal !== undefined && traces.accepted + metrics.accepted + logs.accepted === 0)
      throw new OperationError(
        "server_unreachable",
        `${this.#address} took nothing of what was sent: ${firstRefusal}`,
        "check that the address is the one of an OTLP receiver, and that it needs no other headers",
      );
    return {
      read,
      requests: this.#requests,
      retries: this.retries,
      spans: traces,
      points: metrics,
      logs,
      refusals: this.#refusals,
    };
  }

  /** Ends everything that is still under way. */
  stop(): void {
    this.#abort.abort();
  }

  #shiftOf(times: Float64Array): bigint {
    if (this.#shift === null) {
      const first = times.reduce(
        (least, time) => (time > 0 && time < least ? time : least),
        Number.POSITIVE_INFINITY,
      );
      if (first === Number.POSITIVE_INFINITY) return 0n;
      this.#shift = BigInt(Math.round((Date.now() - first) * 1e6));
    }
    return this.#shift;
  }

  /** Items in order of time, cut so that a request is neither too large nor, when times count, spans more than a second. */
  #batches(times: Float64Array): readonly (readonly number[])[] {
    const order = Array.from(times, (_, at) => at);
    const { speed } = this.#options;
    if (Number.isFinite(speed)) order.sort((a, b) => (times[a] as number) - (times[b] as number) || a - b);
    const batches: number[][] = [];
    let batch: number[] = [];
    for (const at of order) {
      const isLater = (times[at] as number) - (times[batch[0] ?? at] as number) > 1000 * speed;
      if (batch.length === replayItemsMax || isLater) {
        batches.push(batch);
        batch = [];
      }
      batch.push(at);
    }
    if (batch.length > 0) batches.push(batch);
    return batches;
  }

  /**
   * Waits until the last of the items is due: as long after the first item of all as it was then, divided by the speed.
   * What comes too late in the file is sent at once; a long pause is cut short.
   */
  async #waitFor(times: Float64Array, items: readonly number[]): Promise<void> {
    const { speed } = this.#options;
    const time = times[items.at(-1) ?? 0] as number;
    if (!Number.isFinite(speed) || time === 0) return;
    const now = performance.now();
    this.#lag ??= now - (times[items[0] ?? 0] as number) / speed;
    const pause = time / speed + this.#lag - now;
    if (pause <= 0) return;
    if (pause > replayPauseMsMax) this.#lag -= pause - replayPauseMsMax;
    await this.#sleep(Math.min(pause, replayPauseMsMax));
  }

  /** Wakes with the failure of another request, if there is one. */
  async #sleep(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.#abort.signal });
    } catch (error) {
      this.#throwFailure();
      throw error;
    }
  }

  /** Starts to send a batch, once there is room for one more. */
  async #send(batch: Batch): Promise<void> {
    while (this.#inFlight.size >= replayInFlightMax) await Promise.race(this.#inFlight);
    this.#throwFailure();
    const sending = this.#deliver(batch)
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.stop();
      })
      .finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
  }

  async #deliver({ signal, items, request }: Batch): Promise<void> {
    const givenUpAt = performance.now() + replayPatienceMs;
    const counts = this.counts[signal];
    for (let attempt = 0; ; attempt += 1) {
      const delivery = await this.#target.send(signal, request, this.#abort.signal);
      this.#requests += 1;
      if (delivery.kind === "accepted") {
        this.#isAnswered = true;
        const rejected = Math.min(items, delivery.rejected);
        counts.accepted += items - rejected;
        counts.rejected += rejected;
        if (rejected > 0) this.#refuse(delivery.message, rejected);
        return;
      }
      if (delivery.kind === "refused") {
        this.#isAnswered = true;
        counts.rejected += items;
        this.#refuse(delivery.message, items);
        return;
      }
      if (delivery.kind === "unreachable" && !this.#isAnswered) throw this.#nobody(delivery);
      const wait = waitMs(attempt, delivery.kind === "retry" ? delivery.afterMs : null);
      if (performance.now() + wait > givenUpAt) throw this.#busyForGood(delivery.message);
      this.retries += 1;
      await this.#sleep(wait);
    }
  }

  #refuse(message: string, items: number): void {
    const known = message === "" ? "no reason given" : message;
    this.#refusals.set(known, (this.#refusals.get(known) ?? 0) + items);
  }

  #nobody({ message, hint = "" }: Extract<Delivery, { readonly kind: "unreachable" }>): OperationError {
    return new OperationError(
      "server_unreachable",
      `nobody answers at ${this.#address}: ${message}`,
      hint === "" ? "start the server (hypocenter serve), or check --to" : hint,
    );
  }

  #busyForGood(message: string): OperationError {
    return new OperationError(
      "server_unreachable",
      `${this.#address} took nothing for minutes: ${message}`,
      `the replay stopped after ${this.counts.traces.accepted} spans; look at the receiver, then send the rest`,
    );
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}

/** As the receiver asks, else longer each time, spread so that requests do not come back all at once. */
function waitMs(attempt: number, asked: number | null): number {
  if (asked !== null) return asked;
  return Math.min(30_000, 500 * 1.5 ** attempt) * (0.75 + Math.random() / 2);
}
