import { readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32, gunzip as gunzipThen, gzip as gzipThen } from "node:zlib";
import type { Clock } from "../../engine/ports.ts";
import type { LogFiles } from "./log-files.ts";
import { isZlibError } from "./sealing.ts";
import { ignoreMissing, isFileError, tooNew, unixMsOf } from "./segmented-log.ts";

// docs/storage.md describes the files.

export interface SmallFilesOptions {
  readonly folder: string;
  /** `KIND-NAME.v1` is what a file is called */
  readonly kind: "incident" | "kept-trace";
  /** files of this kind together; above it those that were written longest ago go */
  readonly bytesMax: number;
  readonly files: LogFiles;
  readonly clock: Clock;
  /** what an operator should know: that a file was damaged */
  readonly onNotice: (message: string) => void;
}

interface SmallFile {
  readonly bytes: number;
  /** Unix milliseconds */
  readonly writtenMs: number;
}

/** Raised when files change in a way that older programs cannot read; newer programs read all lower ones. */
const formatVersion = 1;
const magic = "HYK1";
const headerBytes = 8;
/** Far above what is ever written. */
const contentBytesMax = 2 ** 30;
const gzip = promisify(gzipThen);
const gunzip = promisify(gunzipThen);

/**
 * Files that are written as a whole, each by its name. One is there as it was written last or as it was before, whatever happens in
 * between; what a disk damages costs that file alone. Files are looked after one at a time.
 */
export class SmallFiles {
  readonly #options: SmallFilesOptions;
  /** those written longest ago first */
  readonly #known = new Map<string, SmallFile>();
  #bytes = 0;
  #evicted = 0;
  #lost = 0;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: SmallFilesOptions) {
    this.#options = options;
  }

  /** Those that are there, unread. Rejects where a newer version has written one. */
  static async open(options: SmallFilesOptions): Promise<SmallFiles> {
    const small = new SmallFiles(options);
    const { folder, kind } = options;
    const found: (SmallFile & { readonly name: string })[] = [];
    for (const fileName of await readdir(folder)) {
      const [, ofKind, name = "", version, rest] =
        /^(incident|kept-trace)-([0-9A-Za-z-]+)\.v(\d+)(\.new)?$/.exec(fileName) ?? [];
      if (ofKind !== kind) continue;
      if (Number(version) > formatVersion) throw tooNew(fileName);
      const path = join(folder, fileName);
      if (rest !== undefined) {
        // a crash has left it half written
        await unlink(path).catch(ignoreMissing);
        continue;
      }
      const { size, mtimeMs } = await stat(path);
      found.push({ name, bytes: size, writtenMs: mtimeMs });
    }
    found.sort((a, b) => a.writtenMs - b.writtenMs || (a.name < b.name ? -1 : 1));
    for (const { name, ...file } of found) small.#note(name, file);
    return small;
  }

  get size(): number {
    return this.#known.size;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Files that had to make room, and those that found none. */
  get evicted(): number {
    return this.#evicted;
  }
  /** Files that were damaged. */
  get lost(): number {
    return this.#lost;
  }

  has(name: string): boolean {
    return this.#known.has(name);
  }

  /** Those written longest ago first. */
  names(): readonly string[] {
    return [...this.#known.keys()];
  }

  /** What a file holds; null = there is none, or it is damaged: then that is said, and it is gone. */
  read(name: string): Promise<Buffer | null> {
    return this.#inTurn(async () => {
      const known = this.#known.get(name);
      if (known === undefined) return null;
      const path = this.#pathOf(name);
      const content = await this.#contentOf(path, known.bytes);
      if (content !== null) return content;
      this.#lost += 1;
      this.#options.onNotice(`${path} is damaged: what it held is lost`);
      await this.#remove(name);
      return null;
    });
  }

  /** Resolves when the disk has the file. Rejects with an error of the file system, and then it is as before. */
  write(name: string, content: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      const packed = await gzip(content);
      const bytes = headerBytes + packed.length;
      if (bytes > this.#options.bytesMax) {
        this.#evicted += 1;
        await this.#remove(name);
        return;
      }
      const header = Buffer.alloc(headerBytes);
      header.write(magic, "latin1");
      header.writeUInt32LE(crc32(packed), 4);
      await this.#writeWhole(this.#pathOf(name), [header, packed]);
      this.#forget(name);
      this.#note(name, { bytes, writtenMs: unixMsOf(this.#options.clock) });
      for (const oldest of this.#known.keys()) {
        if (this.#bytes <= this.#options.bytesMax) break;
        await this.#remove(oldest);
        this.#evicted += 1;
      }
    });
  }

  remove(name: string): Promise<void> {
    return this.#inTurn(() => this.#remove(name));
  }

  /** Removes what was written before a time, Unix milliseconds. */
  removeBefore(firstMs: number): Promise<void> {
    return this.#inTurn(async () => {
      for (const [name, { writtenMs }] of this.#known) if (writtenMs < firstMs) await this.#remove(name);
    });
  }

  /** Resolves when nothing is being written any more. */
  async close(): Promise<void> {
    await this.#inTurn(() => Promise.resolve());
  }

  #pathOf(name: string): string {
    const { folder, kind } = this.#options;
    return join(folder, `${kind}-${name}.v${formatVersion}`);
  }

  /** What is written and removed at once would leave neither. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    // who asked is told of a failure; whoever comes next has nothing to do with it
    this.#last = Promise.allSettled([result]);
    return result;
  }

  /** null = damaged */
  async #contentOf(path: string, length: number): Promise<Buffer | null> {
    try {
      const file = await this.#options.files.open(path);
      let bytes: Buffer;
      try {
        bytes = await file.read(0, length);
      } finally {
        await file.close();
      }
      const packed = bytes.subarray(headerBytes);
      if (bytes.length < headerBytes || bytes.toString("latin1", 0, 4) !== magic) return null;
      if (bytes.readUInt32LE(4) !== crc32(packed)) return null;
      return await gunzip(packed, { maxOutputLength: contentBytesMax });
    } catch (error) {
      if (isFileError(error) || isZlibError(error)) return null;
      throw error;
    }
  }

  async #writeWhole(path: string, parts: readonly Uint8Array[]): Promise<void> {
    const { files } = this.#options;
    const half = `${path}.new`;
    await unlink(half).catch(ignoreMissing);
    const file = await files.create(half);
    try {
      try {
        await file.write(parts, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await files.replace(half, path);
    } catch (error) {
      await unlink(half).catch(ignoreMissing);
      throw error;
    }
  }

  #note(name: string, file: SmallFile): void {
    this.#known.set(name, file);
    this.#bytes += file.bytes;
  }

  #forget(name: string): void {
    this.#bytes -= this.#known.get(name)?.bytes ?? 0;
    this.#known.delete(name);
  }

  async #remove(name: string): Promise<void> {
    if (!this.#known.has(name)) return;
    this.#forget(name);
    await unlink(this.#pathOf(name)).catch(ignoreMissing);
  }
}
