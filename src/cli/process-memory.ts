import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { ProcessMemory } from "../engine/memory-guard.ts";

/** The heap of this thread and the buffers outside it. */
export function processMemory(): ProcessMemory {
  // Node shows it where it is asked for, or to a context that is made when V8 is.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  return {
    usedBytes: () => {
      const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
      return heap + external;
    },
    collect: () => collect(),
  };
}
