/**
 * How far traces may be thinned until this one goes: one of two traces stays at level 1, one of four at level 2, and so on.
 * All sums that are thinned go by it, so that visits and log lines of the same traces stay. Ids may be counters, so they are
 * mixed first (FNV-1a, and the last steps of MurmurHash3).
 */
export function thinningLevelOf(traceId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < traceId.length; i += 1) hash = Math.imul(hash ^ traceId.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return Math.clz32(hash ^ (hash >>> 16));
}
