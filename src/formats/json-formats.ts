import { errorTextMax } from "../model/limits.ts";
import type { SpanTable } from "../model/span-table.ts";
import { type DecodeResult, MalformedBodyError } from "../model/telemetry.ts";
import { appendJaegerDocument, appendJaegerTrace } from "./jaeger-json.ts";
import type { ElementOptions, ElementUser } from "./json-elements.ts";
import { onlySignalOf, requestOf, signalKeys, signalKeysInWords, signalOfKey } from "./otlp-json-keys.ts";
import type { RecordUser } from "./record-user.ts";
import { decodeZipkinSpan, decodeZipkinV1Span } from "./zipkin-json.ts";

/** Takes the bytes of one object in. Throws `MalformedBodyError`; then nothing of it was used. */
export type SpanReader = (bytes: Uint8Array, table: SpanTable) => DecodeResult;

/** A format of JSON whose files repeat one kind of object. */
export interface JsonFormat {
  /** for people */
  readonly name: string;
  /** where these objects stand */
  readonly elements: ElementOptions;
  /** what tells it from others: the paths of keys (lists left out) of any of these sets */
  readonly signs: readonly (readonly string[])[];
  /** null = the objects are those of OTLP's lists, of the signal that their key says, or else of traces */
  readonly append: SpanReader | null;
  /** whether a record that is a whole line can be read without being cut */
  readonly readsLines: boolean;
}

export const otlpJson: JsonFormat = {
  name: "OTLP JSON",
  elements: {
    path: [signalKeys],
    pathName: signalKeysInWords,
  },
  signs: [],
  append: null,
  readsLines: true,
};

/** Keys at the top of a record that say something about all of it. */
const noted: readonly string[] = ["status", "message", "errors", "error"];

const documents = "Jaeger documents from Elasticsearch";

/** Tried in this order. */
const jsonFormats: readonly JsonFormat[] = [
  scanned("Tempo JSON (v1)", ["batches"], [["batches"]]),
  scanned("Tempo JSON (v2)", ["trace", "resourceSpans"], [["trace.resourceSpans"]]),
  scanned("Jaeger API v3 JSON", ["result", "resourceSpans"], [["result.resourceSpans"], ["error.httpCode"]]),
  scanned(
    "Jaeger JSON",
    ["data"],
    [["data.spans.spanID"], ["data.traceID", "data.processes"], ["data", "total", "limit", "offset"]],
    appendJaegerTrace,
  ),
  scanned(
    "Jaeger JSON",
    [],
    [["spans.spanID"], ["traceID", "spans"], ["traceID", "processes"], ["spans", "processes"]],
    appendJaegerTrace,
  ),
  scanned(documents, [], [["traceID", "spanID"]], appendJaegerDocument),
  scanned(documents, ["_source"], [["_source.traceID", "_source.spanID"]], appendJaegerDocument),
  scanned(documents, ["hits", "hits", "_source"], [["hits.hits._source.spanID"]], appendJaegerDocument),
  scanned(
    "Zipkin v1 JSON",
    [],
    [
      ["traceId", "id", "binaryAnnotations"],
      ["traceId", "id", "annotations.endpoint"],
    ],
    decodeZipkinV1Span,
  ),
  scanned("Zipkin v2 JSON", [], [["traceId", "id"]], decodeZipkinSpan),
];

/** The format whose signs are among the paths of keys that a file begins with. */
export function jsonFormatOf(paths: ReadonlySet<string>): JsonFormat | null {
  return jsonFormats.find(({ signs }) => signs.some((set) => set.every((path) => paths.has(path)))) ?? null;
}

/** Makes records of what is cut out of a file of this format. */
export function elementUserOf(format: JsonFormat, records: RecordUser): ElementUser {
  const user: ElementUser = {
    use(element, _, key) {
      if (format.append !== null) return records.use("traces", element);
      const signal = signalOfKey(key) ?? "traces";
      return records.use(signal, requestOf(signal, element));
    },
    skip: (place, why) => records.skip(place, why),
  };
  if (!format.readsLines) return user;
  return {
    ...user,
    useLine(line) {
      const signal = format.append === null ? onlySignalOf(line) : "traces";
      return signal !== null && records.use(signal, line) === null;
    },
  };
}

/** Objects that are read byte by byte, so that they may nest as deep as they like; without a reader: ResourceSpans. */
function scanned(
  name: string,
  path: readonly string[],
  signs: JsonFormat["signs"],
  append: SpanReader | null = null,
): JsonFormat {
  return { name, elements: { path, noted }, signs, append, readsLines: path.length === 0 };
}

function parsed(bytes: Uint8Array): unknown {
  const { buffer, byteOffset, length } = bytes;
  try {
    return JSON.parse(Buffer.from(buffer, byteOffset, length).toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new MalformedBodyError(`broken JSON: ${error.message}`, 0);
    throw error;
  }
}

/** What a record says of itself, in words. */
export interface Note {
  readonly kind: "partial" | "error" | "malformed";
  readonly message: string;
}

/** What the values of the noted keys of a record have to tell. */
export function notesOf(values: ReadonlyMap<string, Uint8Array>): readonly Note[] {
  const said = new Map<string, unknown>();
  const notes: Note[] = [];
  for (const [key, value] of values)
    try {
      said.set(key, parsed(value));
    } catch (error) {
      if (!(error instanceof MalformedBodyError)) throw error;
      notes.push({ kind: "malformed", message: error.message });
    }
  if (said.get("status") === "PARTIAL") {
    const message = said.get("message");
    const why = typeof message === "string" && message !== "" ? `: ${message.slice(0, errorTextMax)}` : "";
    notes.push({
      kind: "partial",
      message: `the server that gave the trace says that it is not whole (PARTIAL)${why}`,
    });
  }
  for (const key of ["errors", "error"]) {
    const texts = messagesOf(said.get(key));
    if (texts.length > 0) notes.push({ kind: "error", message: texts.join("; ") });
  }
  return notes;
}

function messagesOf(said: unknown): readonly string[] {
  const errors: readonly unknown[] = Array.isArray(said) ? said : [said];
  const messages = errors.map((error) => (isRecord(error) ? (error["message"] ?? error["msg"]) : undefined));
  return messages.filter((message) => typeof message === "string");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
