import { onTestFinished } from "vitest";
import { type DiskStoreOptions, openDiskStore } from "../../../src/storage/disk/disk-store.ts";
import { runSealingTask, type Sealer } from "../../../src/storage/disk/sealing.ts";
import { clockAt } from "./log-folder.ts";

/** Does in this thread, between two turns, what a server does in another one. */
const sealer: Sealer = {
  seal: async (task) => {
    await new Promise((resolve) => setImmediate(resolve));
    return runSealingTask(structuredClone(task));
  },
  close: () => Promise.resolve(),
};

/** A store in a folder, closed when the test ends, and what it said. */
export async function openStore(folder: string, changes: Partial<DiskStoreOptions> = {}) {
  const faults: unknown[] = [];
  const notices: string[] = [];
  const kept = { ageMsMax: 86_400_000, bytesMax: 2 ** 40 };
  const store = await openDiskStore({
    folder,
    syncs: false,
    retention: { traces: kept, metrics: kept, logs: kept },
    freeBytesMin: 0,
    foldedAfterMs: 0,
    restoreBytesMax: 2 ** 30,
    restoreAgeMsMax: 86_400_000,
    decodedBytesMax: 2 ** 20,
    keptBytesMax: 2 ** 20,
    clock: clockAt(5n),
    sealer,
    onNotice: (message) => notices.push(message),
    onFault: (fault) => faults.push(fault),
    ...changes,
  });
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (!isClosed) await store.close();
    isClosed = true;
  };
  onTestFinished(close);
  return { store, faults, notices, close };
}

/** Segments of spans get no larger than 256 KiB. */
export const smallSegments = {
  traces: { ageMsMax: 86_400_000, bytesMax: 4 << 20 },
  metrics: { ageMsMax: 86_400_000, bytesMax: 4 << 20 },
  logs: { ageMsMax: 86_400_000, bytesMax: 4 << 20 },
};
