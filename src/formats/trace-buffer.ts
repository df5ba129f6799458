import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OperationError } from "../engine/errors/operation-error.ts";
import { type TraceId, wordsOfHex } from "../model/ids.ts";
import {
  memoryBudgetBytes,
  spillLevelsMax,
  spillPartsMax,
  tableBytesMax,
  tableRowsMax,
} from "../model/limits.ts";
import { SpanTable } from "../model/span-table.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import { decodeTraces } from "../otlp/protobuf-traces.ts";
import type { RowRef } from "../trace/trace.ts";

export interface TraceBufferOptions {
  /** bytes of spans held in memory; default `memoryBudgetBytes` */
  readonly budgetBytes?: number;
  /** where the temporary file goes; default: the system's folder for them */
  readonly folder?: string;
}

/**
 * Holds the spans of whole inputs, in memory up to a budget. Above it all rows go to a temporary file, parted by a hash of
 * the trace id, and come back one part at a time: memory stays constant whatever the size and order of the input. A part
 * that is itself above the budget is parted once more; a single trace above it is handed out whole all the same.
 */
export class TraceBuffer {
  readonly #budgetBytes: number;
  readonly #folder: string;
  readonly #level: number;
  #tables: SpanTable[] = [];
  #bytes = 0;
  #spanCount = 0;
  #hasLinks = false;
  #spill: Spill | null = null;

  constructor(options: TraceBufferOptions = {}, level = 0) {
    this.#budgetBytes = options.budgetBytes ?? memoryBudgetBytes;
    this.#folder = options.folder ?? tmpdir();
    this.#level = level;
  }

  get spanCount(): number {
    return this.#spanCount;
  }

  /** Whether any span links to another. */
  get hasLinks(): boolean {
    return this.#hasLinks;
  }

  /** Takes a table over. */
  async add(table: SpanTable): Promise<void> {
    this.#spanCount += table.rowCount;
    if (table.links.length > 0) this.#hasLinks = true;
    if (this.#spill === null) {
      this.#tables.push(table);
      this.#bytes += table.byteLength;
      if (this.#bytes <= this.#budgetBytes) return;
      this.#spill = await Spill.create(this.#folder, this.#level);
      // One at a time, so that memory is let go while the files grow.
      for (let held = this.#tables.shift(); held !== undefined; held = this.#tables.shift())
        await this.#spill.write(held);
      this.#bytes = 0;
    } else await this.#spill.write(table);
  }

  /** All rows, part by part; every trace is whole in one part. With nothing spilled there is one part. May be read again. */
  async *partitions(): AsyncIterable<readonly SpanTable[]> {
    if (this.#spill === null) {
      yield this.#tables;
      return;
    }
    for (const part of this.#spill.parts) yield* this.#partition(this.#spill, part);
  }

  /** The rows of one trace; reads no more than the part that holds it. */
  async readTrace(traceId: TraceId): Promise<readonly RowRef[]> {
    const [a = 0, b = 0, c = 0, d = 0] = wordsOfHex(traceId);
    const rows: RowRef[] = [];
    const part = this.#spill?.parts[partOf(a, b, c, d, this.#level)];
    const parts =
      this.#spill === null || part === undefined ? this.partitions() : this.#partition(this.#spill, part);
    for await (const tables of parts)
      for (const table of tables)
        for (let row = 0; row < table.rowCount; row += 1)
          if (isTrace(table.traceId, row * 4, a, b, c, d)) rows.push({ table, row });
    return rows;
  }

  /** Lets everything go. The temporary file goes with the process even if nobody calls this. */
  async dispose(): Promise<void> {
    this.#tables = [];
    this.#bytes = 0;
    await this.#spill?.dispose();
    this.#spill = null;
  }

  async *#partition(spill: Spill, part: Part): AsyncIterable<readonly SpanTable[]> {
    if (part.bytes === 0) return;
    if (part.bytes * columnsPerByte <= this.#budgetBytes || this.#level + 1 >= spillLevelsMax) {
      const tables: SpanTable[] = [];
      for await (const table of spill.read(part)) tables.push(table);
      yield tables;
      return;
    }
    const finer = new TraceBuffer({ budgetBytes: this.#budgetBytes, folder: this.#folder }, this.#level + 1);
    try {
      for await (const table of spill.read(part)) await finer.add(table);
      yield* finer.partitions();
    } finally {
      await finer.dispose();
    }
  }
}

/** Bytes that spans take in columns for each byte that they take in the file, measured on real traces: below 2. */
const columnsPerByte = 2;

/** The pieces of the file that hold one part's rows, each an export request. */
interface Part {
  bytes: number;
  readonly pieces: { readonly offset: number; readonly length: number }[];
}

/** A temporary file of rows, parted by trace. */
class Spill {
  readonly parts: readonly Part[] = Array.from({ length: spillPartsMax }, () => ({ bytes: 0, pieces: [] }));
  readonly #file: FileHandle;
  readonly #folder: string;
  readonly #level: number;
  #end = 0;

  private constructor(file: FileHandle, folder: string, level: number) {
    this.#file = file;
    this.#folder = folder;
    this.#level = level;
  }

  static async create(parent: string, level: number): Promise<Spill> {
    try {
      const folder = await mkdtemp(join(parent, "hypocenter-"));
      const file = await open(join(folder, "spans"), "wx+", 0o600);
      // An open file lives on without a name: whatever ends this process, nothing of it stays. Where the system does not
      // allow that (Windows) `dispose` removes the folder.
      await rm(folder, { recursive: true, force: true }).catch(() => {});
      return new Spill(file, folder, level);
    } catch (cause) {
      throw spillError(parent, cause);
    }
  }

  async write(table: SpanTable): Promise<void> {
    shareEqualEnvelopes(table);
    const rows: RowRef[][] = this.parts.map(() => []);
    const ids = table.traceId;
    for (let row = 0; row < table.rowCount; row += 1) {
      const at = row * 4;
      const a = ids[at] as number;
      const b = ids[at + 1] as number;
      const part = partOf(a, b, ids[at + 2] as number, ids[at + 3] as number, this.#level);
      (rows[part] as RowRef[]).push({ table, row });
    }
    for (const [index, some] of rows.entries())
      if (some.length > 0) await this.#append(this.parts[index] as Part, encodeTraces(some));
  }

  async #append(part: Part, request: Uint8Array): Promise<void> {
    part.pieces.push({ offset: this.#end, length: request.length });
    part.bytes += request.length;
    try {
      for (let at = 0; at < request.length; ) {
        const { bytesWritten } = await this.#file.write(request, at, request.length - at, this.#end);
        at += bytesWritten;
        this.#end += bytesWritten;
      }
    } catch (cause) {
      throw spillError(this.#folder, cause);
    }
  }

  async *read(part: Part): AsyncIterable<SpanTable> {
    let table = new SpanTable();
    for (const { offset, length } of part.pieces) {
      decodeTraces(await this.#bytes(offset, length), table);
      if (table.rowCount >= tableRowsMax || table.byteLength >= tableBytesMax) {
        yield table;
        table = new SpanTable();
      }
    }
    if (table.rowCount > 0) yield table;
  }

  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await this.#file.read(bytes, at, length - at, offset + at);
      if (bytesRead === 0) throw spillError(this.#folder, new Error("it was cut off"));
      at += bytesRead;
    }
    return bytes;
  }

  async dispose(): Promise<void> {
    await this.#file.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Lets all rows whose resources (and scopes) say the same refer to one of them: each request of a file brings its own, and
 * the few rows that go to one part would each carry a copy.
 */
function shareEqualEnvelopes(table: SpanTable): void {
  const { resources, scopes } = table;
  const resourceOf = firstEqual(resources.length, (at) => [
    resources.schemaUrl[at],
    resources.droppedAttributes[at],
    attributesKey(table, resources.attributeStart[at], resources.attributeEnd[at]),
  ]);
  const scopeOf = firstEqual(scopes.length, (at) => [
    scopes.name[at],
    scopes.version[at],
    scopes.schemaUrl[at],
    scopes.droppedAttributes[at],
    attributesKey(table, scopes.attributeStart[at], scopes.attributeEnd[at]),
  ]);
  for (let row = 0; row < table.rowCount; row += 1) {
    table.resource[row] = resourceOf[table.resource[row] as number] as number;
    table.scope[row] = scopeOf[table.scope[row] as number] as number;
  }
}

/** For each of `count` things the first one that has the same key. */
function firstEqual(count: number, keyOf: (at: number) => readonly unknown[]): Uint32Array {
  const first = new Map<string, number>();
  const found = new Uint32Array(count);
  for (let at = 0; at < count; at += 1) {
    const key = keyOf(at).join("|");
    const known = first.get(key) ?? at;
    first.set(key, known);
    found[at] = known;
  }
  return found;
}

function attributesKey({ attributes }: SpanTable, start = 0, end = 0): string {
  let key = "";
  for (let i = start; i < end; i += 1)
    key += `${attributes.key[i]},${attributes.type[i]},${attributes.value[i]};`;
  return key;
}

/** The same trace always goes to the same part; each level parts by other bits. */
function partOf(a: number, b: number, c: number, d: number, level: number): number {
  let hash = Math.imul(a, 0x9e3779b1);
  hash = Math.imul(hash ^ b ^ (hash >>> 15), 0x85ebca6b);
  hash = Math.imul(hash ^ c ^ (hash >>> 13), 0xc2b2ae35);
  hash = Math.imul(hash ^ d ^ (hash >>> 16), 0x27d4eb2f);
  return Math.floor(((hash ^ (hash >>> 15)) >>> 0) / spillPartsMax ** level) % spillPartsMax;
}

function isTrace(ids: Uint32Array, at: number, a: number, b: number, c: number, d: number): boolean {
  return ids[at] === a && ids[at + 1] === b && ids[at + 2] === c && ids[at + 3] === d;
}

function spillError(folder: string, cause: unknown): OperationError {
  const isFull =
    cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT");
  const why = isFull ? "the disk is full" : cause instanceof Error ? cause.message : String(cause);
  return new OperationError(
    "no_temporary_space",
    `the spans do not fit into the memory budget, and a temporary file in ${folder} cannot be used: ${why}`,
    "set TMPDIR to a folder with more room, or raise the memory budget",
    cause,
  );
}
