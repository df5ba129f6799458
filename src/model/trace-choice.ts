import { textHash } from "../base/text-hash.ts";

/**
 * How far traces may be thinned until this one goes: one of two traces stays at level 1, one of four at level 2, and so on.
 * All sums that are thinned go by it, so that visits and log lines of the same traces stay.
 */
export function thinningLevelOf(traceId: string): number {
  return Math.clz32(textHash(traceId));
}

/** How many traces one stands for that stayed at a level: as many as were left out for it, and itself. */
export function requestsAtLevel(level: number): number {
  return 2 ** level;
}

/** The highest there is: a hash has so many bits. */
export const thinningLevelMax = 32;
