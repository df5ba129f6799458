import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { mutate, Random } from "./mutate.ts";

/** What is tried with inputs that nobody would send. */
export interface Target {
  readonly name: string;
  /** valid inputs to begin with */
  readonly seeds: readonly (Uint8Array | string)[];
  /** words that mean something to the target */
  readonly dictionary: readonly (Uint8Array | string)[];
  /**
   * Works on one input. Throws (or rejects) if a promise is broken. What it answers names the way that the input took:
   * inputs that took a new way are changed further.
   */
  run(input: Uint8Array): string | Promise<string>;
}

interface Find {
  readonly what: string;
  readonly input: Uint8Array;
  readonly execution: number;
}

/** What came of it, or how far it is. */
interface FuzzOutcome {
  readonly executions: number;
  readonly find: Find | null;
  readonly ways: number;
  readonly memoryMbMax: number;
  /** of one execution, with whatever else the machine did meanwhile */
  readonly longestMs: number;
}

interface FuzzLimits {
  readonly seed: number;
  readonly executionsMax?: number;
  /** goes on after `seconds` until it has so many, and has tried all seeds */
  readonly executionsMin?: number;
  readonly seconds: number;
  /** what takes longer is a find */
  readonly runMsMax?: number;
  /** what a process may have in memory, and what fuzzing may add where others had more before */
  readonly memory?: { readonly bytesMax: number; readonly riseMax: number; readonly inUse: () => number };
  readonly onProgress?: (outcome: FuzzOutcome) => void;
}

const usualRunMsMax = 1_000;
const memoryLimits = { bytesMax: 512 << 20, riseMax: 384 << 20, inUse: () => process.memoryUsage.rss() };
const corpusMax = 512;

/** Tries inputs until one breaks a promise, or the limits are reached. The same seed tries the same inputs in the same order. */
export async function fuzz(target: Target, limits: FuzzLimits): Promise<FuzzOutcome> {
  const corpus = target.seeds.map(bytesOf);
  const dictionary = target.dictionary.map(bytesOf);
  const random = new Random(limits.seed);
  const watchdog = new Watchdog(target.name);
  const { bytesMax, riseMax, inUse } = limits.memory ?? memoryLimits;
  const memoryMax = Math.max(bytesMax, inUse() + riseMax);
  const ways = new Set<string>();
  const end = performance.now() + limits.seconds * 1_000;
  let progressAt = performance.now() + 5_000;
  let executions = 0;
  let longestMs = 0;
  let memorySeen = 0;
  const outcome = (find: Find | null): FuzzOutcome => ({
    executions,
    find,
    ways: ways.size,
    memoryMbMax: memorySeen >> 20,
    longestMs,
  });
  try {
    for (; executions < (limits.executionsMax ?? Number.POSITIVE_INFINITY); executions += 1) {
      const input =
        executions < target.seeds.length
          ? (corpus[executions] as Uint8Array)
          : mutate(random, corpus, dictionary);
      watchdog.begin(input);
      const tried = tryOnce(target, input, limits.runMsMax ?? usualRunMsMax);
      const { what, way, tookMs } = tried instanceof Promise ? await tried : tried;
      watchdog.end();
      if (tookMs > longestMs) longestMs = tookMs;
      if (what !== null) return outcome({ what, input, execution: executions });
      if (!ways.has(way)) {
        ways.add(way);
        if (corpus.length < corpusMax && executions >= target.seeds.length) corpus.push(input);
      }
      if (executions % 256 !== 0) continue;
      const now = performance.now();
      const memory = inUse();
      memorySeen = Math.max(memorySeen, memory);
      if (memory > memoryMax)
        return outcome({ what: `memory: ${memory >> 20} MB`, input, execution: executions });
      if (now > end && executions >= Math.max(limits.executionsMin ?? 0, target.seeds.length)) break;
      if (now < progressAt) continue;
      progressAt = now + 30_000;
      limits.onProgress?.(outcome(null));
    }
    return outcome(null);
  } finally {
    await watchdog.stop();
  }
}

interface Tried {
  /** what was wrong; null = nothing */
  readonly what: string | null;
  readonly way: string;
  readonly tookMs: number;
}

/** What answers at once is not waited for: that would take longer than most executions. */
function tryOnce(target: Target, input: Uint8Array, runMsMax: number): Tried | Promise<Tried> {
  const startedAt = performance.now();
  try {
    const answer = target.run(input);
    if (typeof answer !== "string") return triedSlowly(target, input, { startedAt, answer, runMsMax });
    const tookMs = performance.now() - startedAt;
    if (tookMs <= runMsMax) return { what: null, way: answer, tookMs };
    return triedSlowly(target, input, { startedAt, answer, runMsMax });
  } catch (error) {
    return wrong(error, startedAt);
  }
}

async function triedSlowly(
  target: Target,
  input: Uint8Array,
  first: { startedAt: number; answer: string | Promise<string>; runMsMax: number },
): Promise<Tried> {
  let { startedAt } = first;
  try {
    const way = await first.answer;
    let tookMs = performance.now() - startedAt;
    // once more, and again: other processes may have had the processor
    for (let tries = 1; tries < 3 && tookMs > first.runMsMax; tries += 1) {
      startedAt = performance.now();
      await target.run(input);
      tookMs = Math.min(tookMs, performance.now() - startedAt);
    }
    return { what: tookMs > first.runMsMax ? `took ${tookMs.toFixed()} ms` : null, way, tookMs };
  } catch (error) {
    return wrong(error, startedAt);
  }
}

function wrong(error: unknown, startedAt: number): Tried {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { what, way: "", tookMs: performance.now() - startedAt };
}

const findsFolder = "test/fuzz/finds";

/** Seconds for each target: a taste in the tests, more by hand; and executions that it has to reach, however long it takes. */
const secondsAsked = process.env["FUZZ_SECONDS"];
const seconds = Number(secondsAsked ?? 0.3);
const executionsMin = Number(process.env["FUZZ_EXECUTIONS"] ?? 0);
const seed = Number(process.env["FUZZ_SEED"] ?? 1);

/** A test that what was found before stays fixed, and one that looks for more. */
export function fuzzTest(target: Target): void {
  const old = findsOf(target.name);
  test.runIf(old.length > 0)(`${target.name}: what was found before stays fixed`, async () => {
    for (const { name, input } of old)
      expect([name, (await tryOnce(target, input, usualRunMsMax)).what]).toEqual([name, null]);
  });

  const timeout = executionsMin > 0 ? 0 : seconds * 1_000 + 60_000;
  test(`${target.name}: no input breaks it`, { timeout }, async () => {
    const startedAt = performance.now();
    const say = ({ executions, ways, memoryMbMax, longestMs, find }: FuzzOutcome): void => {
      const took = (performance.now() - startedAt) / 1_000;
      const finds = find === null ? "no find" : "1 find";
      console.log(
        `${target.name}: ${executions} executions in ${took.toFixed()} s, ${finds}, ${ways} ways, at most ${memoryMbMax} MB, longest ${longestMs.toFixed()} ms`,
      );
    };
    const isByHand = secondsAsked !== undefined || executionsMin > 0;
    const outcome = await fuzz(target, {
      seed,
      seconds,
      executionsMin,
      ...(isByHand ? { onProgress: say } : {}),
    });
    if (isByHand) say(outcome);
    const { executions, find } = outcome;
    if (find !== null)
      expect.unreachable(
        `seed ${seed}, input ${find.execution}, kept as ${keep(target.name, find.input)}: ${find.what}`,
      );
    expect(executions).toBeGreaterThan(target.seeds.length);
  });
}

function findsOf(target: string): readonly { readonly name: string; readonly input: Uint8Array }[] {
  if (!existsSync(findsFolder)) return [];
  return readdirSync(findsFolder)
    .filter((name) => name.startsWith(`${target}--`))
    .map((name) => ({ name, input: readFileSync(join(findsFolder, name)) }));
}

function keep(target: string, input: Uint8Array): string {
  mkdirSync(findsFolder, { recursive: true });
  const path = join(
    findsFolder,
    `${target}--${createHash("sha256").update(input).digest("hex").slice(0, 8)}.bin`,
  );
  writeFileSync(path, input);
  return path;
}

function bytesOf(content: Uint8Array | string): Uint8Array {
  return typeof content === "string" ? Buffer.from(content) : content;
}

/** An input that never ends cannot be stopped from within: another thread keeps it and ends the process. */
class Watchdog {
  static readonly #inputMax = 1 << 16;
  /** number of the input under way (0 = none), its length */
  readonly #state = new Int32Array(new SharedArrayBuffer(8));
  readonly #input = new Uint8Array(new SharedArrayBuffer(Watchdog.#inputMax));
  readonly #worker: Worker;
  #count = 0;

  constructor(target: string) {
    this.#worker = new Worker(watchdogProgram, {
      eval: true,
      workerData: {
        state: this.#state,
        input: this.#input,
        path: join(findsFolder, `${target}--endless.bin`),
      },
    });
    this.#worker.unref();
  }

  begin(input: Uint8Array): void {
    this.#input.set(input.subarray(0, Watchdog.#inputMax));
    this.#state[1] = Math.min(input.length, Watchdog.#inputMax);
    this.#count += 1;
    Atomics.store(this.#state, 0, this.#count);
  }

  end(): void {
    Atomics.store(this.#state, 0, 0);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

const watchdogProgram = `
const { workerData: { state, input, path } } = require("node:worker_threads");
let last = 0;
let since = Date.now();
setInterval(() => {
  const now = Atomics.load(state, 0);
  if (now !== last || now === 0) {
    last = now;
    since = Date.now();
  } else if (Date.now() - since > 20_000) {
    require("node:fs").mkdirSync(require("node:path").dirname(path), { recursive: true });
    require("node:fs").writeFileSync(path, Buffer.from(input.slice(0, state[1])));
    require("node:fs").writeSync(2, "fuzzing: an input takes more than 20 s; it is kept as " + path + "\\n");
    process.kill(process.pid, "SIGKILL");
  }
}, 1_000);
`;
