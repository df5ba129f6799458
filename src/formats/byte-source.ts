import type { Stats } from "node:fs";
import { open, readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { OperationError } from "../engine/errors/operation-error.ts";

/** One file, pipe or stream of bytes, before anything is known of its content. */
export interface ByteSource {
  /** as the user knows it: a path, or `stdin` */
  readonly name: string;
  /** bytes as stored; null where nobody knows before the end (pipes, stdin) */
  readonly size: number | null;
  /** found in a folder, not named by the user: what is no telemetry there is skipped */
  readonly isFromFolder: boolean;
  /** each chunk is valid until the next one is asked for: the same memory holds it */
  chunks(): AsyncIterable<Uint8Array>;
}

const chunkBytes = 1 << 20;

/**
 * What the inputs stand for: files and pipes as they are, folders as all regular files in them (sorted by name, hidden ones
 * left out, links followed once), `-` as standard input. A file that is reached twice is read once, and the files of a rotated
 * set come oldest first. A path that is not there or may not be read is an `input_unreadable` error before anything is read:
 * it is a slip of the user.
 */
export async function byteSources(inputs: readonly (string | ByteSource)[]): Promise<readonly ByteSource[]> {
  const sources: ByteSource[] = [];
  const seen = new Set<string>();
  for (const input of inputs) {
    if (typeof input !== "string") sources.push(input);
    else if (input === "-") {
      if (!seen.has("-")) sources.push(standardInput());
      seen.add("-");
    } else await addPath(input, sources, seen);
  }
  return oldestFirst(sources);
}

/**
 * What a writer that rotates puts into the names of the files it has done with, and may have packed:
 * `spans-2022-09-14T05-02-14.173.json.gz` is an older `spans.json`.
 */
const rotated = /^(.*)-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})((?:\.[^./\\]+)*?)(?:\.gz)?$/;

/** Each set of rotated files in the order of their times, the one still written to last; other files stay where they are. */
function oldestFirst(sources: readonly ByteSource[]): readonly ByteSource[] {
  const sets = new Map<string, { readonly time: string; readonly source: ByteSource }[]>();
  const setNames = sources.map((source) => {
    const [, start = source.name, time = "now", end = ""] = rotated.exec(source.name) ?? [];
    const set = sets.get(start + end) ?? [];
    if (set.push({ time, source }) === 1) sets.set(start + end, set);
    return start + end;
  });
  for (const set of sets.values()) set.sort((a, b) => Number(a.time > b.time) - Number(a.time < b.time));
  return sources.map((source, at) => sets.get(setNames[at] ?? "")?.shift()?.source ?? source);
}

function standardInput(): ByteSource {
  return { name: "stdin", size: null, isFromFolder: false, chunks: () => process.stdin };
}

async function addPath(input: string, sources: ByteSource[], seen: Set<string>): Promise<void> {
  // A stack instead of recursion: folders are pushed in reverse, so that files come out sorted by name.
  const waiting = [input];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const isNamed = path === input;
    const found = await statOf(path, isNamed);
    if (found === null) continue;
    const real = await realpath(path);
    if (seen.has(real)) continue;
    seen.add(real);
    if (found.isDirectory()) {
      const names = await namesIn(path, isNamed);
      if (names instanceof Error) sources.push(failingSource(path, names));
      else for (const name of names.reverse()) waiting.push(join(path, name));
    } else if (found.isFile() || isNamed) sources.push(fileSource(path, found, !isNamed));
  }
}

async function statOf(path: string, isNamed: boolean): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (cause) {
    // A dangling link or a file that has just gone is no part of a folder's content.
    if (!isNamed) return null;
    throw unreadable(path, cause);
  }
}

/** Sorted, hidden ones left out. A folder within a folder that may not be read is no reason to stop. */
async function namesIn(folder: string, isNamed: boolean): Promise<string[] | Error> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
  } catch (cause) {
    if (isNamed || !(cause instanceof Error)) throw unreadable(folder, cause);
    return cause;
  }
}

/** Fails when it is read, like a file that may not be opened. */
function failingSource(name: string, cause: Error): ByteSource {
  const chunks = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(cause) }) };
  return { name, size: 0, isFromFolder: true, chunks: () => chunks };
}

function fileSource(path: string, found: Stats, isFromFolder: boolean): ByteSource {
  return {
    name: path,
    size: found.isFile() ? found.size : null,
    isFromFolder,
    chunks: () => fileChunks(path),
  };
}

/** New memory for each chunk would cost as much as the reading. */
async function* fileChunks(path: string): AsyncIterable<Uint8Array> {
  const file = await open(path);
  try {
    const buffer = new Uint8Array(chunkBytes);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** The error for a path that cannot be opened or read, in the user's words. */
export function unreadable(path: string, cause: unknown): OperationError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new OperationError(
    "input_unreadable",
    `cannot read ${path}: ${why}`,
    hints[code] ?? "check the path and try again",
    cause,
  );
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOTDIR: "a part of the path is not a folder",
  ELOOP: "the links go round in a circle",
  EIO: "the disk reports an error",
};

const hints: Readonly<Record<string, string>> = {
  EACCES: "make it readable for this user, or run as one who may read it",
  EPERM: "make it readable for this user, or run as one who may read it",
};
