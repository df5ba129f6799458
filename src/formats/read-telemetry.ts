import { OperationError } from "../engine/errors/operation-error.ts";
import type { Encoding, Signal } from "../engine/ports.ts";
import type { AttributeNames } from "../model/attributes.ts";
import {
  containerLevelsMax,
  malformedRecordsShownMax,
  tableBytesMax,
  tableRowsMax,
} from "../model/limits.ts";
import type { Problem } from "../model/problems.ts";
import { SpanTable } from "../model/span-table.ts";
import {
  type DecodeResult,
  type LogRecord,
  MalformedBodyError,
  type MetricPoint,
  type RejectReason,
  stringIndexFields,
} from "../model/telemetry.ts";
import { decodeBody } from "../otlp/decode-body.ts";
import { type ByteSource, byteSources, unreadable } from "./byte-source.ts";
import { detectFormat, type Format } from "./detect.ts";
import { JsonElements } from "./json-elements.ts";
import { elementUserOf, type JsonFormat, notesOf, type SpanReader } from "./json-formats.ts";
import { ProtobufRecords } from "./protobuf-records.ts";
import type { RecordPlace, RecordUser } from "./record-user.ts";
import { type Unpacked, unpack } from "./unpack.ts";
import { untilZeros } from "./zero-run.ts";
import { decodeZipkinSpans } from "./zipkin-protobuf.ts";

/** Where telemetry goes; the reader waits for each call before it reads on. */
export interface TelemetrySink {
  /** A full table; it belongs to the sink from now on. */
  traces(table: SpanTable): void | Promise<void>;
  metrics(points: readonly MetricPoint[]): void | Promise<void>;
  logs(records: readonly LogRecord[]): void | Promise<void>;
  /** What was wrong with the input and survived. */
  problem(problem: Problem): void;
}

interface ReadProgress {
  /** as stored, of all inputs so far */
  readonly bytesRead: number;
  /** null where an input is a pipe */
  readonly bytesTotal: number | null;
  readonly spans: number;
}

export interface ReadOptions {
  readonly onProgress?: (progress: ReadProgress) => void;
  /** rows of a table before it is handed over; default `tableRowsMax` */
  readonly tableRows?: number;
  /** names of the attributes that are kept; default: all */
  readonly attributes?: AttributeNames;
}

export interface Counts {
  readonly accepted: number;
  readonly rejected: number;
}

/** What was in the inputs; everything read is either accepted, or rejected for a reason, or in a malformed record. */
export interface ReadSummary {
  readonly files: readonly FileSummary[];
  readonly spans: Counts;
  readonly points: Counts;
  readonly logs: Counts;
  /** lines or records that could not be used at all */
  readonly malformedRecords: number;
}

interface FileSummary {
  readonly name: string;
  /** in words; null for a file that was not used */
  readonly format: string | null;
  readonly records: number;
  readonly malformedRecords: number;
}

const noTelemetry = "no telemetry";

/**
 * Reads saved telemetry: any number of files, folders and streams in any mix of formats and signals, recognised by content,
 * with memory for one chunk and one record. A bad record is skipped, counted and reported with its place. A path that does
 * not exist is an `input_unreadable` error at once. A file that cannot be used (unknown or unsupported format, a disk error)
 * is a problem if any other had something to read, else an `input_unreadable` error.
 */
export async function readTelemetry(
  inputs: readonly (string | ByteSource)[],
  sink: TelemetrySink,
  options: ReadOptions = {},
): Promise<ReadSummary> {
  const sources = await byteSources(inputs);
  const account = newAccount(sources);
  const reading = new Reading(account, sink, options);
  for (const source of sources) await reading.read(source);
  await reading.end();
  return finish(account, sink.problem.bind(sink));
}

/** Inputs that are read side by side, each into a sink of its own. */
export interface TelemetryReader {
  readonly sources: readonly ByteSource[];
  /** what was wrong with any of them and survived */
  readonly problem: TelemetrySink["problem"];
  /** Reads one of them to its end; what it holds is handed over with each chunk. */
  read(source: ByteSource, sink: TelemetrySink): Promise<void>;
  /** The same, without an account of it. */
  peek(source: ByteSource, sink: TelemetrySink): Promise<void>;
  /** What was in all that were read; rejects like `readTelemetry`. */
  finish(): ReadSummary;
}

/** Reads like `readTelemetry`, where the caller says which input goes on. */
export async function openTelemetry(
  inputs: readonly (string | ByteSource)[],
  problem: TelemetrySink["problem"],
  onProgress: ReadOptions["onProgress"] = () => {},
): Promise<TelemetryReader> {
  const sources = await byteSources(inputs);
  const account = newAccount(sources);
  const options = { tableRows: 1, onProgress };
  const read = async (source: ByteSource, sink: TelemetrySink, into: Account): Promise<void> => {
    const reading = new Reading(into, sink, into === account ? options : { tableRows: 1 });
    await reading.read(source);
    await reading.end();
  };
  return {
    sources,
    problem,
    read: (source, sink) => read(source, sink, account),
    peek: (source, sink) => read(source, sink, newAccount([source])),
    finish: () => finish(account, problem),
  };
}

/** What is known of all inputs so far. */
interface Account {
  readonly bytesTotal: number | null;
  bytesRead: number;
  readonly files: FileSummary[];
  readonly counts: Record<Signal, { accepted: number; rejected: number }>;
  /** files that could not be used, with why */
  readonly unused: { readonly source: ByteSource; readonly why: string; readonly hint: string }[];
  /** what files in folders are that cannot be used, with their names */
  readonly passedOver: Map<string, string[]>;
  /** place and reason of the first record that was malformed */
  firstMalformed: string;
}

function newAccount(sources: readonly ByteSource[]): Account {
  return {
    bytesTotal: sources.some(({ size }) => size === null)
      ? null
      : sources.reduce((sum, { size }) => sum + (size ?? 0), 0),
    bytesRead: 0,
    files: [],
    counts: {
      traces: { accepted: 0, rejected: 0 },
      metrics: { accepted: 0, rejected: 0 },
      logs: { accepted: 0, rejected: 0 },
    },
    unused: [],
    passedOver: new Map(),
    firstMalformed: "",
  };
}

type ReadableFormat = Extract<Format, { readonly kind: "json" | "protobuf" }>;

/** What cuts a file into records and hands these to the file's `FileRecords`. */
interface Framer {
  push(chunk: Uint8Array): void;
  end(): void;
}

class Reading {
  readonly #sink: TelemetrySink;
  readonly #options: ReadOptions;
  readonly #account: Account;
  #table: SpanTable;
  #points: MetricPoint[] = [];
  #logs: LogRecord[] = [];

  constructor(account: Account, sink: TelemetrySink, options: ReadOptions) {
    this.#account = account;
    this.#sink = sink;
    this.#options = options;
    this.#table = this.#newTable();
  }

  async read(source: ByteSource): Promise<void> {
    const damages: string[] = [];
    const file = new FileRecords(source, this);
    let format: Format | null = null;
    try {
      const unpacked = await unpack(this.#counted(source), (what) => damages.push(what));
      format = formatOf(unpacked);
      // Of a damaged file that is empty once unpacked the damage is the news.
      if (format.kind !== "empty" || damages.length === 0)
        await this.#readRecords(unpacked, format, file, source);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      const { message, hint } = unreadable(source.name, error.cause);
      this.#leaveOut(source, message, hint);
    }
    for (const damage of damages)
      this.#leaveOut(source, `${source.name}: ${damage}`, "what could be read of it is used");
    this.#report(file);
    this.#account.files.push({
      name: source.name,
      format: format === null ? null : formatName(format),
      records: file.records,
      malformedRecords: file.malformed,
    });
  }

  async #readRecords(
    unpacked: Unpacked,
    format: Format,
    file: FileRecords,
    source: ByteSource,
  ): Promise<void> {
    if (format.kind === "unsupported" || format.kind === "unknown" || format.kind === "empty") {
      await unpacked.close();
      this.#leaveOutUnread(source, format);
      return;
    }
    const framer = this.#framerOf(format, file);
    for await (const chunk of untilZeros(unpacked.chunks, (what) =>
      this.#leaveOut(source, `${source.name}: ${what}`, ""),
    )) {
      framer.push(chunk);
      await this.#handOver(false);
      this.#options.onProgress?.({
        bytesRead: this.#account.bytesRead,
        bytesTotal: this.#account.bytesTotal,
        spans: this.#account.counts.traces.accepted,
      });
    }
    framer.end();
    await this.#handOver(false);
  }

  #framerOf(format: ReadableFormat, file: FileRecords): Framer {
    if (format.kind === "json") return this.#jsonFramer(format.format, file);
    if (format.framing === "zipkin") file.decode = (_, bytes) => this.append(decodeZipkinSpans, bytes);
    else file.decode = (signal, bytes) => this.decode(signal, "protobuf", bytes);
    return new ProtobufRecords(format.framing, file);
  }

  #jsonFramer(format: JsonFormat, file: FileRecords): Framer {
    const { append, elements } = format;
    if (append !== null) file.decode = (_, bytes) => this.append(append, bytes);
    return new JsonElements(elements, {
      ...elementUserOf(format, file),
      note: (values, place) => this.#note(file, values, place),
    });
  }

  /** A record says something of itself. */
  #note(file: FileRecords, values: ReadonlyMap<string, Uint8Array>, place: RecordPlace): void {
    for (const { kind, message } of notesOf(values))
      if (kind === "malformed") file.skip(place, message);
      else if (kind === "partial")
        this.#problem({ kind: "truncated_trace", message, count: 1, source: placed(file.name, place) });
      else
        this.#leaveOut(
          file.source,
          `${file.name} holds an answer without a trace: ${message}`,
          "ask the server again",
        );
  }

  /** Hands over what is left. */
  async end(): Promise<void> {
    await this.#handOver(true);
  }

  /** Takes one record in. Throws `MalformedBodyError`; then nothing of it was used. */
  decode(signal: Signal, encoding: Encoding, bytes: Uint8Array): DecodeResult {
    const { decoded, result } = decodeBody(signal, encoding, bytes, this.#table);
    if (decoded.signal === "metrics") for (const point of decoded.points) this.#points.push(point);
    if (decoded.signal === "logs") for (const record of decoded.records) this.#logs.push(record);
    return this.#count(signal, result);
  }

  /** The same for spans in another format. */
  append(append: SpanReader, bytes: Uint8Array): DecodeResult {
    return this.#count("traces", append(bytes, this.#table));
  }

  #count(signal: Signal, result: DecodeResult): DecodeResult {
    const counts = this.#account.counts[signal];
    counts.accepted += result.accepted;
    counts.rejected += result.rejected;
    return result;
  }

  async #handOver(isLast: boolean): Promise<void> {
    const table = this.#table;
    const isFull =
      table.rowCount >= (this.#options.tableRows ?? tableRowsMax) ||
      (table.rowCount > 0 && table.byteLength >= tableBytesMax);
    if (isFull || (isLast && table.rowCount > 0)) {
      // What comes next is mostly like what came: a table that fits from the start need not grow.
      this.#table = isLast ? this.#newTable() : this.#newTable(table.rowCount);
      await this.#sink.traces(table);
    }
    if (this.#points.length > 0) {
      const points = this.#points;
      this.#points = [];
      await this.#sink.metrics(points);
    }
    if (this.#logs.length > 0) {
      const records = this.#logs;
      this.#logs = [];
      await this.#sink.logs(records);
    }
  }

  #newTable(rowCapacity?: number): SpanTable {
    return new SpanTable(rowCapacity, this.#options.attributes ?? null);
  }

  async *#counted(source: ByteSource): AsyncIterable<Uint8Array> {
    const chunks = source.chunks()[Symbol.asyncIterator]();
    try {
      for (let next = await nextOf(chunks); next.done !== true; next = await nextOf(chunks)) {
        this.#account.bytesRead += next.value.length;
        yield next.value;
      }
    } finally {
      await chunks.return?.();
    }
  }

  #leaveOutUnread(source: ByteSource, format: Format): void {
    if (source.isFromFolder) {
      const what =
        format.kind === "unsupported" ? format.name : format.kind === "empty" ? "empty" : noTelemetry;
      const names = this.#account.passedOver.get(what) ?? [];
      names.push(source.name);
      this.#account.passedOver.set(what, names);
    } else if (format.kind === "empty") this.#leaveOut(source, `${source.name} is empty`, "");
    else if (format.kind === "unsupported")
      this.#leaveOut(
        source,
        `${source.name} is ${format.name}, which this version does not read`,
        format.hint,
      );
    else if (format.kind === "unknown")
      this.#leaveOut(source, `${source.name} is in no format that hypocenter knows`, format.hint);
  }

  #leaveOut(source: ByteSource, why: string, hint: string): void {
    this.#account.unused.push({ source, why, hint });
  }

  #report(file: FileRecords): void {
    for (const { place, why } of file.shown)
      this.#problem({ kind: "malformed_record", message: why, count: 1, source: placed(file.name, place) });
    const first = file.shown[0];
    if (first !== undefined && this.#account.firstMalformed === "")
      this.#account.firstMalformed = `${placed(file.name, first.place)}: ${first.why}`;
    const source = file.name;
    const count = file.malformed - file.shown.length;
    if (count > 0)
      this.#problem({ kind: "malformed_record", message: "further records were skipped", count, source });
    for (const [reason, rejected] of file.reasons)
      this.#problem({ ...reasonProblems[reason], count: rejected, source });
    if (file.stringIndices > 0)
      this.#problem({
        kind: "dropped_data",
        message: `attributes name texts by their number in a table that spans do not have (${stringIndexFields}): they were read as absent`,
        count: file.stringIndices,
        source,
      });
  }

  #problem(problem: Omit<Problem, "spans">): void {
    this.#sink.problem({ ...problem, spans: [] });
  }
}

/** The account of all inputs; throws when nothing could be used, else says what could not. */
function finish(account: Account, problem: TelemetrySink["problem"]): ReadSummary {
  const { traces, metrics, logs } = account.counts;
  const malformedRecords = account.files.reduce((sum, file) => sum + file.malformedRecords, 0);
  if (account.files.every(({ records }) => records === 0)) refuse(account, malformedRecords);
  for (const { source, why, hint } of account.unused) {
    const message = hint === "" ? why : `${why}; ${hint}`;
    problem({ kind: "unreadable_input", message, count: 1, source: source.name, spans: [] });
  }
  for (const [what, names] of account.passedOver) {
    // a readme beside telemetry is no flaw of the telemetry
    if (what === noTelemetry) continue;
    const message = `files that are ${what} were passed over: ${listed(names)}`;
    problem({ kind: "unreadable_input", message, count: names.length, spans: [] });
  }
  return {
    files: account.files,
    spans: traces,
    points: metrics,
    logs,
    malformedRecords,
  };
}

/** Nothing at all could be used: the error says why of the first input, and what to do. */
function refuse(account: Account, malformedRecords: number): void {
  const first = account.unused[0];
  if (first !== undefined) {
    const more = account.unused.length > 1 ? ` (and ${account.unused.length - 1} more inputs)` : "";
    throw new OperationError("input_unreadable", `${first.why}${more}`, first.hint);
  }
  if (malformedRecords > 0)
    throw new OperationError(
      "input_unreadable",
      `no record of ${listed(account.files.map(({ name }) => name))} could be read: ${account.firstMalformed}`,
      "check whether the file was cut or changed after it was written",
    );
  if (account.passedOver.size === 0 && account.files.length > 0) return;
  const found = [...account.passedOver].map(([what, names]) => `; ${what}: ${listed(names)}`).join("");
  throw new OperationError(
    "input_unreadable",
    `no telemetry that can be read in the given folder${found}`,
    "give a folder with files of OTLP, Jaeger, Zipkin or Tempo",
  );
}

/** The records of one file: counts them and keeps the first malformed ones. */
class FileRecords implements RecordUser {
  readonly source: ByteSource;
  readonly name: string;
  /** Takes a record in. Throws `MalformedBodyError`; then nothing of it was used. */
  decode: (signal: Signal, bytes: Uint8Array) => DecodeResult;
  records = 0;
  malformed = 0;
  readonly shown: { readonly place: RecordPlace; readonly why: string }[] = [];
  readonly reasons = new Map<RejectReason, number>();
  stringIndices = 0;

  constructor(source: ByteSource, reading: Reading) {
    this.source = source;
    this.name = source.name;
    this.decode = (signal, bytes) => reading.decode(signal, "json", bytes);
  }

  use(signal: Signal, bytes: Uint8Array): string | null {
    try {
      const result = this.decode(signal, bytes);
      this.records += 1;
      for (const [reason, count] of result.reasons)
        this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + count);
      this.stringIndices += result.stringIndices ?? 0;
      return null;
    } catch (error) {
      if (error instanceof MalformedBodyError)
        return error.offset === 0
          ? error.message
          : `${error.message} (${error.offset} bytes into the record)`;
      throw error;
    }
  }

  skip(place: RecordPlace, why: string): void {
    this.malformed += 1;
    if (this.shown.length < malformedRecordsShownMax) this.shown.push({ place, why });
  }
}

const reasonProblems: Readonly<Record<RejectReason, Pick<Problem, "kind" | "message">>> = {
  invalid_trace_id: { kind: "rejected_span", message: "a span's trace id is not 16 bytes, or all zero" },
  invalid_span_id: { kind: "rejected_span", message: "a span's id is not 8 bytes, or all zero" },
  malformed_span: { kind: "rejected_span", message: "a span could not be read" },
  malformed_data_point: { kind: "malformed_record", message: "a metric data point could not be read" },
  malformed_log_record: { kind: "malformed_record", message: "a log record could not be read" },
};

function formatOf({ head, isWhole, isTooDeep }: Unpacked): Format {
  if (isTooDeep)
    return {
      kind: "unsupported",
      name: `packed more than ${containerLevelsMax} times`,
      hint: "unpack it first: gzip -d FILE, zstd -d FILE",
    };
  return detectFormat(head, isWhole);
}

function formatName(format: Format): string | null {
  if (format.kind === "json") return format.format.name;
  if (format.kind === "protobuf" && format.framing === "zipkin") return "Zipkin v2 protobuf";
  if (format.kind === "protobuf")
    return format.framing === "raw" ? "OTLP protobuf" : "OTLP protobuf, length-delimited";
  return null;
}

/** A source that fails while it is read, told apart from a sink that fails. */
class SourceError extends Error {}

async function nextOf(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (cause) {
    throw new SourceError("a source failed", { cause });
  }
}

/** `file:line`, and the byte where the record starts. */
function placed(name: string, { line, offset }: RecordPlace): string {
  return line === null ? `${name}, byte ${offset}` : `${name}:${line}, byte ${offset}`;
}

function listed(names: readonly string[]): string {
  return names.length <= 3
    ? names.join(", ")
    : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}
