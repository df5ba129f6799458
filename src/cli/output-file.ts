import { createWriteStream, rmSync, type Stats } from "node:fs";
import { realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { OperationError } from "../engine/errors/operation-error.ts";
import { write } from "./command.ts";

/** A file that is there as a whole or not at all. */
export interface OutputFile {
  /** Resolves when there is room for more. */
  write(part: string | Uint8Array): Promise<void>;
  /** Puts the file in its place. */
  finish(): Promise<void>;
  /** Leaves everything as it was before. */
  discard(): Promise<void>;
}

/**
 * Opens a file for writing, gzip where its name ends in `.gz`. What is written goes to a hidden file beside it that takes its
 * place at the end, so that a failure leaves no half file and spoils no older one; a pipe or device is written directly.
 */
export async function openOutput(path: string): Promise<OutputFile> {
  const target = await realpath(path).catch(() => path);
  const found = await statOrNull(target);
  if (found?.isDirectory() === true) throw unwritable(path, "it is a folder");
  const isDirect = found !== null && !found.isFile();
  const place = isDirect ? target : join(dirname(target), `.${basename(target)}.${process.pid}.part`);
  const stopWatching = isDirect ? () => {} : removeWhenKilled(place);
  const file = createWriteStream(place, { flags: isDirect ? "w" : "wx", mode: found?.mode ?? 0o666 });
  const head: Writable = path.endsWith(".gz") ? createGzip() : file;
  const done = head === file ? finished(file) : pipeline(head as ReturnType<typeof createGzip>, file);
  // Whoever writes next hears of the failure; until then nobody waits for it.
  done.catch(() => {});
  const failure = (cause: unknown): OperationError =>
    unwritable(path, cause instanceof Error ? cause.message : String(cause), cause);
  return {
    async write(part) {
      await write(head, part).catch(async (error: unknown) => {
        // The stream that failed knows more than the one that was cut off from it.
        await done.catch((cause: unknown) => {
          throw failure(cause);
        });
        throw failure(error);
      });
    },
    async finish() {
      try {
        head.end();
        await done;
        if (!isDirect) await rename(place, target);
      } catch (cause) {
        throw failure(cause);
      }
      stopWatching();
    },
    async discard() {
      head.destroy();
      file.destroy();
      await done.catch(() => {});
      if (!isDirect) await rm(place, { force: true });
      stopWatching();
    },
  };
}

/** Whether two paths are the same file, whatever its names. */
export async function isSameFile(path: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([statOrNull(path), statOrNull(other)]);
  return a !== null && b !== null && a.isFile() && a.dev === b.dev && a.ino === b.ino;
}

async function statOrNull(path: string): Promise<Stats | null> {
  return await stat(path).catch(() => null);
}

const deadlySignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A process that is told to end leaves no half file behind. The answer ends that. */
function removeWhenKilled(path: string): () => void {
  const end = (signal: NodeJS.Signals): void => {
    rmSync(path, { force: true });
    stop();
    process.kill(process.pid, signal);
  };
  const stop = (): void => {
    for (const signal of deadlySignals) process.removeListener(signal, end);
  };
  for (const signal of deadlySignals) process.once(signal, end);
  return stop;
}

function unwritable(path: string, why: string, cause?: unknown): OperationError {
  return new OperationError(
    "output_unwritable",
    `Cannot write ${path}: ${why}`,
    "Choose another file.",
    cause,
  );
}
