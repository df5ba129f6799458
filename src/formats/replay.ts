import { setTimeout as sleep } from "node:timers/promises";
import { OperationError } from "../engine/errors/operation-error.ts";
import { replayInFlightMax, replayItemsMax, replayPatienceMs, replayPauseMsMax } from "../model/limits.ts";
import type { Problem } from "../model/problems.ts";
import type { ByteSource } from "./byte-source.ts";
import type { ClientTls } from "./http-request.ts";
import { itemSink, mergeByTime } from "./merge-by-time.ts";
import { newestTime, type TimeMove } from "./move-times.ts";
import { openTarget } from "./open-target.ts";
import type { Delivery, OtlpTarget } from "./otlp-target.ts";
import {
  type Counts,
  openTelemetry,
  type ReadOptions,
  type ReadSummary,
  readTelemetry,
  type TelemetrySink,
} from "./read-telemetry.ts";
import { repairTimes } from "./repair-times.ts";
import { type ReplayItem, type ReplayRequest, requestsOf } from "./replay-items.ts";

export interface ReplayOptions {
  /** how many times as fast as it happened; Infinity = as fast as the receiver takes it */
  readonly speed: number;
  /** `now` moves all times: without a speed the newest is now, at a speed each is when it is due (durations divided by it too) */
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
 * Sends saved telemetry to an OTLP receiver (`http://host:4318`, `https://…`, `grpc://host:4317`, `grpcs://…`): at a
 * speed all inputs together in the order of time, else file by file. A busy receiver is waited for; what it refuses for good is counted.
 * Rejects with `server_unreachable` when nobody answers, when the receiver stays busy for minutes, or when it takes nothing.
 */
export async function replayTelemetry(
  inputs: readonly (string | ByteSource)[],
  target: string,
  options: ReplayOptions,
): Promise<ReplaySummary> {
  const receiver = openTarget(target, options);
  const replay = new Replay(receiver, target);
  try {
    const read = Number.isFinite(options.speed)
      ? await sendInTime(inputs, replay, options)
      : await sendAtOnce(inputs, replay, options);
    return await replay.finish(read);
  } finally {
    replay.stop();
    receiver.close();
  }
}

/** File by file, as fast as the receiver takes it. */
async function sendAtOnce(
  inputs: readonly (string | ByteSource)[],
  replay: Replay,
  options: ReplayOptions,
): Promise<ReadSummary> {
  const move = options.times === "now" ? await newestToNow(inputs) : null;
  const send = async (items: readonly ReplayItem[]): Promise<void> => {
    for (let at = 0; at < items.length; at += replayItemsMax)
      await replay.send(items.slice(at, at + replayItemsMax), move);
  };
  return readTelemetry(inputs, itemSink(send, problemsTo(options)), {
    tableRows: replayItemsMax * 8,
    onProgress: progressOf(replay, options),
  });
}

/** All files together in order of time, as long after one another as it was then, divided by the speed. */
async function sendInTime(
  inputs: readonly (string | ByteSource)[],
  replay: Replay,
  options: ReplayOptions,
): Promise<ReadSummary> {
  const reader = await openTelemetry(inputs, problemsTo(options), progressOf(replay, options));
  const pace = new Pace(options.speed);
  let slice: ReplayItem[] = [];
  const send = async (): Promise<void> => {
    const items = slice;
    slice = [];
    await replay.sleep(pace.pauseMs(items));
    await replay.send(items, options.times === "now" ? pace.move : null);
  };
  const sliceNanos = BigInt(Math.round(1e9 * options.speed));
  for await (const item of mergeByTime(reader)) {
    const [first] = slice;
    const isLater = first !== undefined && item.time - first.time > sliceNanos;
    if (slice.length === replayItemsMax || isLater) await send();
    slice.push(item);
  }
  if (slice.length > 0) await send();
  return reader.finish();
}

function problemsTo({ onProblem }: ReplayOptions): (problem: Problem) => void {
  return (problem) => onProblem?.(problem);
}

function progressOf(replay: Replay, { onProgress }: ReplayOptions): NonNullable<ReadOptions["onProgress"]> {
  return ({ bytesRead, bytesTotal }) =>
    onProgress?.({ bytesRead, bytesTotal, spans: replay.counts.traces, retries: replay.retries });
}

/** The move that makes the newest time now. */
async function newestToNow(inputs: readonly (string | ByteSource)[]): Promise<TimeMove | null> {
  if (inputs.includes("-"))
    throw new OperationError(
      "usage",
      "standard input cannot be moved to now, because its newest span is known only at its end",
      "save it to a file first, or use --speed 1 (then the first span is now)",
    );
  const latest = latestTime();
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
  return newest === 0n ? null : { from: newest, to: nowNanos(), speed: 1 };
}

function nowNanos(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

/** Later times are no measure: a clock that runs more than a day ahead would move everything else into the past. */
function latestTime(): bigint {
  return nowNanos() + 86_400_000_000_000n;
}

class Replay {
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
  readonly #abort = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  #failure: unknown = null;
  #isAnswered = false;

  constructor(target: OtlpTarget, address: string) {
    this.#target = target;
    this.#address = address;
  }

  /** Starts to send items, once there is room for them. */
  async send(items: readonly ReplayItem[], move: TimeMove | null): Promise<void> {
    for (const request of requestsOf(items, move)) await this.#start(request);
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

  /** Wakes with the failure of another request, if there is one. */
  async sleep(ms: number): Promise<void> {
    if (ms <= 0) return;
    try {
      await sleep(ms, undefined, { signal: this.#abort.signal });
    } catch (error) {
      this.#throwFailure();
      throw error;
    }
  }

  async #start(request: ReplayRequest): Promise<void> {
    while (this.#inFlight.size >= replayInFlightMax) await Promise.race(this.#inFlight);
    this.#throwFailure();
    const sending = this.#deliver(request)
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.stop();
      })
      .finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
  }

  async #deliver({ signal, items, body }: ReplayRequest): Promise<void> {
    const givenUpAt = performance.now() + replayPatienceMs;
    const counts = this.counts[signal];
    for (let attempt = 0; ; attempt += 1) {
      const delivery = await this.#target.send(signal, body, this.#abort.signal);
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
      await this.sleep(wait);
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

/** When items are due: as long after the first one of all as it was then, divided by the speed. */
class Pace {
  readonly #speed: number;
  /** a recorded time, Unix nanoseconds, and when it is due on the monotonic clock, milliseconds */
  #anchor: { readonly time: bigint; readonly dueMs: number } | null = null;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /** How long to wait until the last of some items is due. What comes too late is sent at once, and a long pause is cut short. */
  pauseMs(items: readonly ReplayItem[]): number {
    const latest = latestTime();
    const known = items.map((item) => item.time).filter((time) => time > 0n && time <= latest);
    const [first] = known;
    if (first === undefined) return 0;
    const time = known.sort((a, b) => Number(b - a))[0] ?? first;
    const now = performance.now();
    this.#anchor ??= { time: first, dueMs: now };
    const dueMs = this.#anchor.dueMs + Number(time - this.#anchor.time) / 1e6 / this.#speed;
    const pause = Math.min(dueMs - now, replayPauseMsMax);
    if (dueMs - now > pause) this.#anchor = { time, dueMs: now + pause };
    return pause;
  }

  /** Moves each time to when it is due, so that what is sent now is of now; null as long as no time is known. */
  get move(): TimeMove | null {
    if (this.#anchor === null) return null;
    const { time, dueMs } = this.#anchor;
    const to = BigInt(Math.round((Date.now() + dueMs - performance.now()) * 1e6));
    return { from: time, to, speed: this.#speed };
  }
}

/** As the receiver asks, else longer each time, spread so that requests do not come back all at once. */
function waitMs(attempt: number, asked: number | null): number {
  if (asked !== null) return asked;
  return Math.min(30_000, 500 * 1.5 ** attempt) * (0.75 + Math.random() / 2);
}
