import { onTestFinished } from "vitest";
import type { TelemetryStore } from "../../../src/engine/ports.ts";
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

export interface OpenedStore {
  readonly store: TelemetryStore;
  readonly faults: readonly unknown[];
  /** what it said */
  readonly notices: readonly string[];
  readonly close: () => Promise<void>;
}

/** A store in a folder, closed when the test ends, and what it said. */
export async function openStore(
  folder: string,
  changes: Partial<DiskStoreOptions> = {},
): Promise<OpenedStore> {
  const opened = await openStoreFor(folder, changes);
  onTestFinished(opened.close);
  return opened;
}

/** The same, closed by whoever opens it. */
export async function openStoreFor(
  folder: string,
  changes: Partial<DiskStoreOptions> = {},
): Promise<OpenedStore> {
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
  return { store, faults, notices, close };
}

/** Segments of spans get no larger than 256 KiB. */
export const smallSegments = {
  traces: { ageMsMax: 86_400_000, bytesMax: 4 << 20 },
  metrics: { ageMsMax: 86_400_000, bytesMax: 4 << 20 },
  logs: { ageMsMax: 86_400_000, bytesMax: 4 << 20 },
};
