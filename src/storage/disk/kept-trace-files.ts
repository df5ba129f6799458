import type { TraceId } from "../../model/ids.ts";
import { encodeTraces } from "../../otlp/encode-traces.ts";
import type { RowRef } from "../../trace/trace.ts";
import { type KeptTraces, rowsIn } from "../kept-traces.ts";
import { SmallFiles, type SmallFilesOptions } from "./small-files.ts";

/** Traces that are kept in full, each in a file of its own beside the log. */
export class KeptTraceFiles implements KeptTraces {
  readonly #files: SmallFiles;
  /** how many rows those have that this process has written: a trace that has not grown is not written again */
  readonly #rowCounts = new Map<TraceId, number>();

  private constructor(files: SmallFiles) {
    this.#files = files;
  }

  static async open(options: Omit<SmallFilesOptions, "kind">): Promise<KeptTraceFiles> {
    return new KeptTraceFiles(await SmallFiles.open({ ...options, kind: "kept-trace" }));
  }

  get size(): number {
    return this.#files.size;
  }
  get bytes(): number {
    return this.#files.bytes;
  }
  get evicted(): number {
    return this.#files.evicted;
  }
  /** Files that were damaged. */
  get lost(): number {
    return this.#files.lost;
  }

  has(traceId: TraceId): boolean {
    return this.#files.has(traceId);
  }

  async put(traceId: TraceId, rows: readonly RowRef[]): Promise<void> {
    const isWritten = this.has(traceId) && this.#rowCounts.get(traceId) === rows.length;
    if (rows.length === 0 || isWritten) return;
    await this.#files.write(traceId, encodeTraces(rows));
    this.#rowCounts.set(traceId, rows.length);
    if (this.#rowCounts.size > this.#files.size * 2 + 100) this.#forgetGone();
  }

  async read(traceId: TraceId): Promise<readonly RowRef[]> {
    const body = await this.#files.read(traceId);
    return body === null ? [] : rowsIn(body);
  }

  /** Removes what was kept before a time, Unix milliseconds. */
  async removeBefore(firstMs: number): Promise<void> {
    await this.#files.removeBefore(firstMs);
  }

  async close(): Promise<void> {
    await this.#files.close();
  }

  #forgetGone(): void {
    for (const traceId of this.#rowCounts.keys()) if (!this.has(traceId)) this.#rowCounts.delete(traceId);
  }
}
