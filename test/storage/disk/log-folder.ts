import { closeSync, mkdtempSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Clock } from "../../../src/engine/ports.ts";
import type { UnixNanos } from "../../../src/model/time.ts";
import { type LogFile, type LogFiles, nodeFiles } from "../../../src/storage/disk/log-files.ts";
import { type Loss, SegmentScanner } from "../../../src/storage/disk/record.ts";
import {
  type LogEntry,
  type LogOptions,
  type Segment,
  SegmentedLog,
} from "../../../src/storage/disk/segmented-log.ts";

/** A folder that is gone when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-store-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function openLog(folder: string, changes: Partial<LogOptions> = {}): Promise<SegmentedLog> {
  return SegmentedLog.open({
    folder,
    signal: "traces",
    segmentBytesMax: 1 << 20,
    segmentAgeMsMax: 3_600_000,
    isFull: () => false,
    syncs: true,
    files: nodeFiles,
    clock: clockAt(1n),
    onClosed: () => {},
    onFailed: () => {},
    ...changes,
  });
}

/** A clock whose date stands still. */
export function clockAt(unixNanos: bigint): Clock {
  return { unixNanos: () => unixNanos as UnixNanos, monotonicMs: () => performance.now() };
}

export function entryOf(text: string, items = 1): LogEntry {
  const stored = Buffer.from(text);
  return { encoding: "protobuf", isGzip: false, stored, plainBytes: stored.length, items };
}

/** What a scan of a segment finds: texts of bodies, and the loss. */
export function scan({ path, mark }: Pick<Segment, "path" | "mark">): {
  readonly texts: readonly string[];
  readonly loss: Loss;
} {
  const fd = openSync(path, "r");
  try {
    const scanner = new SegmentScanner(fd, statSync(path).size, mark);
    const texts: string[] = [];
    for (let record = scanner.next(); record !== null; record = scanner.next())
      texts.push(record.body.toString());
    return { texts, loss: scanner.loss };
  } finally {
    closeSync(fd);
  }
}

/** What goes wrong with a disk: each is asked before the real one does its work. */
export interface Faults {
  write?: (file: LogFile, parts: readonly Uint8Array[], at: number) => Promise<void>;
  sync?: () => Promise<void>;
}

/** The real files, which fail as they are told. */
export function failingFiles(faults: Faults): LogFiles {
  const wrap = (file: LogFile): LogFile => ({
    write: async (parts, at) => {
      await faults.write?.(file, parts, at);
      await file.write(parts, at);
    },
    sync: async () => {
      await faults.sync?.();
      await file.sync();
    },
    truncate: (bytes) => file.truncate(bytes),
    read: (at, length) => file.read(at, length),
    close: () => file.close(),
  });
  return {
    create: async (path) => wrap(await nodeFiles.create(path)),
    open: async (path) => wrap(await nodeFiles.open(path)),
    replace: (from, to) => nodeFiles.replace(from, to),
  };
}

/** Of what happens in the background: machines are busy. */
export const eventually = { timeout: 20_000 };

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: as the test has it`), { code });
}
