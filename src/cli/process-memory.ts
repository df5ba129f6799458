import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { ProcessMemory } from "../engine/memory-guard.ts";

/** Above this part of the heap that V8 allows itself it does little but collect, and then ends the process. */
const usableHeapShare = 0.85;

/** The heap of this thread and the buffers outside it; `usableBytes` = how much the heap can be held to. */
export function processMemory(): ProcessMemory & { readonly usableBytes: number } {
  // V8 hands its collector to contexts that are made when this is set.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  return {
    usableBytes: Math.floor(getHeapStatistics().heap_size_limit * usableHeapShare),
    usedBytes: () => {
      const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
      return heap + external;
    },
    collect: () => collect(),
  };
}
