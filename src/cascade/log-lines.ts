import { grow } from "../base/grow.ts";
import { mapEntry } from "../base/map-entry.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import type { Attributes } from "../model/attributes.ts";
import { logLinesMax, logLinesPerTraceMax, overflowName, servicesMax } from "../model/limits.ts";
import { nameOfSender, type SenderNames, senderOf } from "../model/sender.ts";
import type { LogRecord } from "../model/telemetry.ts";
import type { TimeRange, UnixNanos } from "../model/time.ts";
import { thinningLevelOf } from "../model/trace-choice.ts";
import { LogTemplates } from "./log-template.ts";
import type { LogLine, LogLines } from "./signals.ts";

/** What a window of log lines is asked for. */
export interface LogQuery extends SenderNames {
  /** lines outside of all of them are left out, as are lines without a time; null = all lines */
  readonly ranges: readonly TimeRange[] | null;
  /** lines of the others are left out, as their visits are */
  readonly isTraceKept: (traceId: string) => boolean;
}

export interface LogRollupOptions {
  /** lines that are kept */
  readonly capacity?: number;
  /** several rollups may share what they know of texts */
  readonly templates?: LogTemplates;
}

/** The columns of a line, each one 32-bit word. */
const Column = {
  Trace: 0,
  TimeHigh: 1,
  TimeLow: 2,
  SpanHigh: 3,
  SpanLow: 4,
  Sender: 5,
  Text: 6,
  IsError: 7,
} as const;
const columnCount = 8;
/** A text with what finds it, roughly; texts of lines are shared. */
const textBytes = 200;

/**
 * The log lines that belong to traces, as kinds of lines. The result depends on the set of records, not on their order;
 * repeated records count once. Of more lines than there is room for only those of a part of the traces are kept, chosen by
 * their ids, so that a trace has either all of its lines or none.
 */
export class LogRollup {
  readonly #templates: LogTemplates;
  readonly #capacity: number;
  readonly #texts = new Interned();
  readonly #senders = new Senders();
  readonly #traces = new Interned();
  /** lines that came of each trace */
  #traceLines = new Uint32Array(16);
  #words = new Uint32Array(16 * columnCount);
  #lineCount = 0;
  /** lines that are in order, each once */
  #compactCount = 0;
  /** only traces are kept that stay at this level */
  #level = 0;
  #withoutTrace = 0;
  #dropped = 0;

  constructor({ capacity = logLinesMax, templates = new LogTemplates() }: LogRollupOptions = {}) {
    this.#capacity = capacity;
    this.#templates = templates;
  }

  /** Records without a trace id: they cannot be told apart by request. */
  get linesWithoutTrace(): number {
    return this.#withoutTrace;
  }

  /** Lines left out because there were too many, repeated ones included. */
  get droppedLines(): number {
    return this.#dropped;
  }

  add(records: Iterable<LogRecord>): void {
    const senders = new Map<Attributes, number>();
    for (const record of records) {
      if (record.traceId === "") {
        this.#withoutTrace += 1;
        continue;
      }
      let sender = senders.get(record.resource);
      if (sender === undefined) {
        sender = this.#senders.idOf(record.resource);
        senders.set(record.resource, sender);
      }
      this.#add(record, sender);
    }
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    const texts = this.#traces.size + this.#texts.size + this.#senders.size;
    return this.#words.byteLength + this.#traceLines.byteLength + texts * textBytes;
  }

  /** Without its templates, which others may share. */
  save(out: SnapshotWriter): void {
    for (const part of [this.#texts, this.#senders, this.#traces]) part.save(out);
    out.column(this.#traceLines.subarray(0, this.#traces.size));
    out.column(this.#words.subarray(0, this.#lineCount * columnCount));
    for (const count of [this.#compactCount, this.#level, this.#withoutTrace, this.#dropped])
      out.number(count);
  }

  load(from: SnapshotReader): void {
    for (const part of [this.#texts, this.#senders, this.#traces]) part.load(from);
    this.#traceLines = from.column(Uint32Array);
    this.#words = from.column(Uint32Array);
    this.#lineCount = this.#words.length / columnCount;
    this.#compactCount = from.number();
    this.#level = from.number();
    this.#withoutTrace = from.number();
    this.#dropped = from.number();
  }

  read(query: LogQuery): LogLines {
    return LogRollup.readAll([this], query);
  }

  /** The lines of some rollups, one after the other. */
  static readAll(parts: readonly LogRollup[], query: LogQuery): LogLines {
    const byTrace = new Map<string, LogLine[]>();
    let lines = 0;
    for (const part of parts) lines += part.#readInto(byTrace, query);
    return { byTrace, lines };
  }

  /** Answers how many there are. */
  #readInto(byTrace: Map<string, LogLine[]>, { ranges, isTraceKept, ...names }: LogQuery): number {
    this.#compact();
    const services = this.#senders.names(names);
    const isLeftOut = Array.from(
      { length: this.#traces.size },
      (_, trace) => !isTraceKept(this.#traces.textOf(trace)),
    );
    let lines = 0;
    for (let line = 0; line < this.#lineCount; line += 1) {
      const word = (column: number): number => this.#words[line * columnCount + column] as number;
      if (isLeftOut[word(Column.Trace)] === true) continue;
      if (ranges !== null && !isWithin(word(Column.TimeHigh), word(Column.TimeLow), ranges)) continue;
      mapEntry(byTrace, this.#traces.textOf(word(Column.Trace)), () => []).push({
        service: services[word(Column.Sender)] ?? "",
        spanId: spanIdOf(word(Column.SpanHigh), word(Column.SpanLow)),
        text: this.#texts.textOf(word(Column.Text)),
        isError: word(Column.IsError) === 1,
      });
      lines += 1;
    }
    return lines;
  }

  #add(record: LogRecord, sender: number): void {
    const { traceId, spanId, time, observedTime } = record;
    if (this.#level > 0 && thinningLevelOf(traceId) < this.#level) {
      this.#dropped += 1;
      return;
    }
    const trace = this.#traces.idOf(traceId);
    if (trace >= this.#traceLines.length) this.#traceLines = grow(this.#traceLines, trace + 1);
    const linesOfTrace = (this.#traceLines[trace] as number) + 1;
    this.#traceLines[trace] = linesOfTrace;
    if (linesOfTrace > logLinesPerTraceMax) {
      this.#dropped += 1;
      return;
    }
    // half of the room is for lines that turn out to be repeated, so that room is made rarely
    if (this.#lineCount >= 2 * this.#capacity) this.#compact();
    const { text, isError } = this.#templates.read(record);
    const at = this.#lineCount * columnCount;
    if (at + columnCount > this.#words.length) this.#words = grow(this.#words, at + columnCount);
    const known = time > 0n ? time : observedTime;
    const words = this.#words;
    words[at + Column.Trace] = trace;
    words[at + Column.TimeHigh] = Number(known >> 32n);
    words[at + Column.TimeLow] = Number(known & 0xffff_ffffn);
    words[at + Column.SpanHigh] = spanId === "" ? 0 : Number.parseInt(spanId.slice(0, 8), 16);
    words[at + Column.SpanLow] = spanId === "" ? 0 : Number.parseInt(spanId.slice(8), 16);
    words[at + Column.Sender] = sender;
    words[at + Column.Text] = this.#texts.idOf(text);
    words[at + Column.IsError] = isError ? 1 : 0;
    this.#lineCount += 1;
  }

  /** Puts lines in order of trace and time, without those that are repeated or too many. */
  #compact(): void {
    if (this.#compactCount === this.#lineCount) return;
    const lines = this.#sortedLines();
    for (;;) {
      const kept = lines.filter((line) => this.#isKept(line));
      if (kept.length <= this.#capacity) {
        this.#dropped += lines.length - kept.length;
        this.#keep(kept);
        return;
      }
      this.#level += 1;
    }
  }

  #isKept(line: number): boolean {
    const trace = this.#words[line * columnCount + Column.Trace] as number;
    if ((this.#traceLines[trace] as number) > logLinesPerTraceMax) return false;
    return this.#level === 0 || thinningLevelOf(this.#traces.textOf(trace)) >= this.#level;
  }

  #keep(lines: Uint32Array): void {
    const kept = new Uint32Array(Math.max(1024, lines.length) * columnCount);
    for (const [to, line] of lines.entries())
      kept.set(this.#words.subarray(line * columnCount, (line + 1) * columnCount), to * columnCount);
    this.#words = kept;
    this.#lineCount = lines.length;
    this.#compactCount = lines.length;
  }

  /** By trace id, then time, then all that is left to tell lines apart; each once. */
  #sortedLines(): Uint32Array {
    const traces = this.#traces.ranks();
    const texts = this.#texts.ranks();
    const senders = this.#senders.ranks();
    const rankOf = (column: number, word: number): number => {
      if (column === Column.Trace) return traces[word] as number;
      if (column === Column.Text) return texts[word] as number;
      return column === Column.Sender ? (senders[word] as number) : word;
    };
    const words = this.#words;
    const compare = (a: number, b: number): number => {
      for (let column = 0; column < columnCount; column += 1) {
        const x = words[a * columnCount + column] as number;
        const y = words[b * columnCount + column] as number;
        if (x !== y) return rankOf(column, x) - rankOf(column, y);
      }
      return 0;
    };
    const lines = Uint32Array.from({ length: this.#lineCount }, (_, line) => line).sort(compare);
    return lines.filter((line, i) => i === 0 || compare(lines[i - 1] as number, line) !== 0);
  }
}

function isWithin(high: number, low: number, ranges: readonly TimeRange[]): boolean {
  const time = ((BigInt(high) << 32n) | BigInt(low)) as UnixNanos;
  return time > 0n && ranges.some(({ from, to }) => time >= from && time <= to);
}

function spanIdOf(high: number, low: number): string {
  if (high === 0 && low === 0) return "";
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** Texts as small numbers. */
class Interned {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];

  idOf(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#texts.length;
      this.#ids.set(text, id);
      this.#texts.push(text);
    }
    return id;
  }

  has(text: string): boolean {
    return this.#ids.has(text);
  }

  get size(): number {
    return this.#texts.length;
  }

  textOf(id: number): string {
    return this.#texts[id] as string;
  }

  save(out: SnapshotWriter): void {
    out.texts(this.#texts);
  }

  load(from: SnapshotReader): void {
    for (const text of from.texts()) this.idOf(text);
  }

  /** By id, the place of each text in their order: ids are given in the order of arrival, which must not show. */
  ranks(): Uint32Array {
    const ranks = new Uint32Array(this.#texts.length);
    for (const [rank, id] of [...this.#ids].sort(([a], [b]) => (a < b ? -1 : 1)).entries())
      ranks[id[1]] = rank;
    return ranks;
  }
}

/** The programs that wrote lines, by all names that they may have. */
class Senders {
  readonly #interned = new Interned();
  readonly #keys: (readonly string[])[] = [];

  idOf(resource: Attributes): number {
    const { names, addresses } = senderOf(resource);
    const keys = [...names, ...addresses];
    const text = keys.join("\u0000");
    if (!this.#interned.has(text) && this.#interned.size >= servicesMax)
      return this.#interned.idOf(overflowName);
    const id = this.#interned.idOf(text);
    this.#keys[id] = keys;
    return id;
  }

  get size(): number {
    return this.#interned.size;
  }

  names(names: SenderNames): readonly string[] {
    return Array.from({ length: this.#interned.size }, (_, id) =>
      nameOfSender(this.#keys[id] ?? [overflowName], names),
    );
  }

  ranks(): Uint32Array {
    return this.#interned.ranks();
  }

  save(out: SnapshotWriter): void {
    this.#interned.save(out);
    out.list(
      Array.from({ length: this.size }, (_, id) => this.#keys[id] ?? [overflowName]),
      (keys) => out.texts(keys),
    );
  }

  load(from: SnapshotReader): void {
    this.#interned.load(from);
    this.#keys.push(...from.list(() => from.texts()));
  }
}
