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

interface FuzzOutcome {
  readonly executions: number;
  readonly find: Find | null;
  readonly ways: number;
}

interface FuzzLimits {
  readonly seed: number;
  readonly executions: number;
  readonly seconds: number;
  readonly onProgress?: (executions: number, ways: number) => void;
}

const runMsMax = 1_000;
const rssBytesMax = 512 * 1024 * 1024;
/** Where fuzzing shares its process with other tests, it may add this much to what they have left. */
const rssRiseMax = 384 * 1024 * 1024;
const corpusMax = 512;

/** Tries inputs until one breaks a promise, or the limits are reached. The same seed tries the same inputs in the same order. */
export async function fuzz(target: Target, limits: FuzzLimits): Promise<FuzzOutcome> {
  const corpus = target.seeds.map(bytesOf);
  const dictionary = target.dictionary.map(bytesOf);
  const random = new Random(limits.seed);
  const watchdog = new Watchdog(target.name);
  const rssMax = Math.max(rssBytesMax, process.memoryUsage.rss() + rssRiseMax);
  const ways = new Set<string>();
  const end = performance.now() + limits.seconds * 1_000;
  let progressAt = performance.now() + 5_000;
  let executions = 0;
  try {
    for (; executions < limits.executions; executions += 1) {
      const input =
        executions < target.seeds.length
          ? (corpus[executions] as Uint8Array)
          : mutate(random, corpus, dictionary);
      watchdog.begin(input);
      const { what, way } = await outcomeOf(target, input);
      watchdog.end();
      if (what !== null) return { executions, find: { what, input, execution: executions }, ways: ways.size };
      if (!ways.has(way)) {
        ways.add(way);
        if (corpus.length < corpusMax && executions >= target.seeds.length) corpus.push(input);
      }
      if (executions % 256 !== 0) continue;
      const now = performance.now();
      const rss = process.memoryUsage.rss();
      if (rss > rssMax)
        return {
          executions,
          find: { what: `memory: ${rss >> 20} MB`, input, execution: executions },
          ways: ways.size,
        };
      if (now > end) break;
      if (now < progressAt) continue;
      progressAt = now + 5_000;
      limits.onProgress?.(executions, ways.size);
    }
    return { executions, find: null, ways: ways.size };
  } finally {
    await watchdog.stop();
  }
}

async function outcomeOf(
  target: Target,
  input: Uint8Array,
): Promise<{ readonly what: string | null; readonly way: string }> {
  try {
    let startedAt = performance.now();
    const answer = target.run(input);
    const way = typeof answer === "string" ? answer : await answer;
    if (performance.now() - startedAt <= runMsMax) return { what: null, way };
    // once more: another process may have had the processor
    startedAt = performance.now();
    await target.run(input);
    const tookMs = performance.now() - startedAt;
    return { what: tookMs > runMsMax ? `took ${tookMs.toFixed()} ms` : null, way };
  } catch (error) {
    return { what: error instanceof Error ? (error.stack ?? error.message) : String(error), way: "" };
  }
}

const findsFolder = "test/fuzz/finds";

/** Seconds for each target: a taste in the tests, a minute or more by hand. */
const secondsAsked = process.env["FUZZ_SECONDS"];
const seconds = Number(secondsAsked ?? 0.5);
const seed = Number(process.env["FUZZ_SEED"] ?? 1);

/** A test that what was found before stays fixed, and one that looks for more. */
export function fuzzTest(target: Target): void {
  const old = findsOf(target.name);
  test.runIf(old.length > 0)(`${target.name}: what was found before stays fixed`, async () => {
    for (const { name, input } of old)
      expect([name, (await outcomeOf(target, input)).what]).toEqual([name, null]);
  });

  test(`${target.name}: no input breaks it`, { timeout: seconds * 1_000 + 60_000 }, async () => {
    const startedAt = performance.now();
    const say = (executions: number, ways: number): void => {
      const perSecond = executions / ((performance.now() - startedAt) / 1_000);
      const rss = process.memoryUsage.rss() >> 20;
      console.log(`${target.name}: ${executions} inputs, ${perSecond.toFixed()}/s, ${ways} ways, ${rss} MB`);
    };
    const isByHand = secondsAsked !== undefined;
    const { executions, find, ways } = await fuzz(target, {
      seed,
      seconds,
      executions: Number.POSITIVE_INFINITY,
      ...(isByHand ? { onProgress: say } : {}),
    });
    if (isByHand) say(executions, ways);
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
