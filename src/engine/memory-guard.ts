import type { Clock, EngineStats } from "./ports.ts";

/** The memory of the process, as its host tells it. */
export interface ProcessMemory {
  /** Bytes on the heap and in buffers, with what nobody uses any more and was not collected yet. */
  usedBytes(): number;
  /** Collects the latter, at once; others wait meanwhile. */
  collect(): void;
}

/** From this part of the limit on things are given back; above all of it nothing is taken in, until there is this part again. */
const tightShare = 0.8;
const resumeShare = 0.9;
/**
 * Between two collections lies at least this, and so many times what the last one took, so that most of the time is for work; where
 * nothing is taken in there is time.
 */
const restMsMin = 500;
const restFactor = 10;

export interface MemoryGuardOptions {
  readonly bytesMax: number;
  readonly memory: ProcessMemory;
  readonly clock: Clock;
  /** What can be given back, cheapest first: each is asked when what is before it was not enough. */
  readonly reliefs: readonly (() => void)[];
}

/**
 * Keeps the process within its memory, by what it holds in truth: limits of single parts are counted roughly, and garbage not at
 * all.
 *
 *   used   0 ......... 80 % ......... 90 % ......... 100 %
 *          |           | collected,   |              | nothing is taken in
 *          |           | given back   | <- taken in again
 */
export class MemoryGuard {
  readonly #options: MemoryGuardOptions;
  #usedBytes = 0;
  #isFull = false;
  #isTight = false;
  /** how many of the reliefs the next round asks */
  #reliefCount = 1;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  readonly #counts = { memory_collections_total: 0, memory_reliefs_total: 0, memory_refusals_total: 0 };

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
  }

  /** Whether nothing is to be taken in. */
  get isFull(): boolean {
    return this.#isFull;
  }
  /** Whether what can wait should. */
  get isTight(): boolean {
    return this.#isTight;
  }

  /** To be called several times a second. */
  look(): void {
    const { bytesMax, memory, clock } = this.#options;
    const tightBytes = bytesMax * tightShare;
    this.#usedBytes = memory.usedBytes();
    const wasFull = this.#isFull;
    this.#isFull ||= this.#usedBytes > bytesMax;
    if (this.#usedBytes > tightBytes && clock.monotonicMs() >= this.#restUntilMs) this.#relieve(tightBytes);
    this.#isTight = this.#usedBytes > tightBytes;
    this.#isFull = this.#usedBytes > (this.#isFull ? bytesMax * resumeShare : bytesMax);
    if (this.#isFull && !wasFull) this.#counts.memory_refusals_total += 1;
    if (!this.#isTight) this.#reliefCount = 1;
  }

  stats(): EngineStats {
    return {
      ...this.#counts,
      memory_limit_bytes: this.#options.bytesMax,
      memory_used_bytes: this.#usedBytes,
      memory_full: this.#isFull ? 1 : 0,
    };
  }

  /** What is given back now shows with the next collection. */
  #relieve(tightBytes: number): void {
    const { memory, clock, reliefs } = this.#options;
    const startMs = clock.monotonicMs();
    memory.collect();
    this.#counts.memory_collections_total += 1;
    this.#usedBytes = memory.usedBytes();
    if (this.#usedBytes > tightBytes) {
      for (const give of reliefs.slice(0, this.#reliefCount)) give();
      this.#counts.memory_reliefs_total += 1;
      this.#reliefCount = Math.min(reliefs.length, this.#reliefCount + 1);
    }
    const endMs = clock.monotonicMs();
    this.#restUntilMs = endMs + Math.max(restMsMin, this.#isFull ? 0 : (endMs - startMs) * restFactor);
  }
}
