import { type NodeNaming, ServiceDirectory } from "../src/model/service-directory.ts";
import { SpanKind, SpanTable, StatusCode } from "../src/model/span-table.ts";
import { assembleTrace } from "../src/trace/assemble.ts";
import { groupByTrace } from "../src/trace/group-rows.ts";
import { observeTable } from "../src/trace/peers.ts";
import type { RowRef, Trace, TraceSpan } from "../src/trace/trace.ts";

/**
 * The trace notation of the tests: one span a line, children indented below their parent.
 *
 *   web      GET /cart      0..90ms    server error
 *     web    GET            5..85ms    client server.address=cart
 *       cart GET /items    10..80ms    server host=n1 http.response.status_code=500
 *
 * A line is: service (`-` = none), operation (any words), interval, then words in any order.
 * - interval: `START..END` with `ns`, `us`, `ms` (the default), `s` or `m` at the end; `5..` has not ended, `..` has no times.
 *   Times count from `notationStart`.
 * - kind: `client`, `server`, `producer`, `consumer`, `internal`; none = unspecified.
 * - status: `error`, `ok`; `status="message"` for the message.
 * - place: `host=`, `instance=`, `namespace=`, `env=`, `version=`, or any resource attribute as `resource.KEY=`; a line below one
 *   of the same service shares its place.
 * - ids: `id=7` (default: the number of the line), `parent=7` (instead of the line above), `parent=none`, `trace=2` (default 1, or the
 *   parent line's).
 * - `link=7` or `link=TRACE/7`, `exception="Type: message"` (an event), `tracestate=`, `flags=`, `dropped=N` (attributes).
 * - anything else with `=` is a span attribute: integers, `true`/`false` and "quoted strings" keep their types.
 * Empty lines and lines that start with `#` are skipped.
 */
export function tableOf(text: string): SpanTable {
  const table = new SpanTable(16);
  const open: { indent: number; id: number; trace: number; written: Written }[] = [];
  let count = 0;
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.trim().startsWith("#")) continue;
    count += 1;
    const indent = line.length - line.trimStart().length;
    while (open.length > 0 && open.at(-1)!.indent >= indent) open.pop();
    const above = open.at(-1);
    const written = inheritPlace(parseLine(line.trim()), above?.written);
    const id = Number(written.words.get("id") ?? count);
    const trace = Number(written.words.get("trace") ?? above?.trace ?? 1);
    const parentWord = written.words.get("parent");
    const parent =
      parentWord === undefined ? (above?.id ?? 0) : parentWord === "none" ? 0 : Number(parentWord);
    open.push({ indent, id, trace, written });
    writeRow(table, written, { id, trace, parent });
  }
  return table;
}

/** 2024-01-01T00:00:00Z: what times in the notation count from. */
export const notationStart = 1_704_067_200_000_000_000n;

/** The only trace of a text; services and peers are named as reports name them unless a naming is given. */
export function traceOf(text: string, naming?: NodeNaming): Trace {
  const [trace, ...others] = tracesOf(text, naming);
  if (trace === undefined || others.length > 0) throw new Error("the text must describe exactly one trace");
  return trace;
}

/** All traces of a text, by trace id. */
export function tracesOf(text: string, naming?: NodeNaming): readonly Trace[] {
  const table = tableOf(text);
  const names = naming ?? directoryOf([table]);
  const groups = groupByTrace([table]);
  return Array.from({ length: groups.count }, (_, i) => assembleTrace(groups.rowsOf(i), names));
}

/** A directory that has seen everything in the tables. */
export function directoryOf(tables: readonly SpanTable[]): ServiceDirectory {
  const directory = new ServiceDirectory();
  for (const table of tables) observeTable(table, directory);
  return directory;
}

/** All rows of a table, in order. */
export function rowsOf(table: SpanTable): RowRef[] {
  return Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
}

/** The span with this operation (or `service operation`); it must be the only one. */
export function spanNamed(trace: Trace, name: string): TraceSpan {
  const found = trace.spans.filter(
    (span) => span.operation === name || `${span.service} ${span.operation}` === name,
  );
  if (found.length !== 1) throw new Error(`${found.length} spans are named "${name}"`);
  return found[0]!;
}

interface Written {
  readonly service: string;
  readonly operation: string;
  readonly start: bigint | null;
  readonly end: bigint | null;
  readonly flags: ReadonlySet<string>;
  /** the last of each word with a value */
  readonly words: ReadonlyMap<string, string>;
  readonly links: readonly string[];
  readonly attributes: readonly (readonly [key: string, value: string])[];
}

const intervalPattern = /(?:^|\s)(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?(ns|us|ms|s|m)?(?=\s|$)/;
const unitNanos = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9 } as const;
const reserved = new Set([
  "id", "parent", "trace", "host", "instance", "namespace", "env", "version", "status", "exception",
  "tracestate", "flags", "dropped", "link",
]); // biome-ignore format: a list

function parseLine(line: string): Written {
  const interval = intervalPattern.exec(line);
  if (interval === null) throw new Error(`no interval in "${line}"`);
  const [service = "", ...operation] = line.slice(0, interval.index).trim().split(/\s+/);
  const rest = line.slice(interval.index + interval[0].length);
  const unit = unitNanos[(interval[3] ?? "ms") as keyof typeof unitNanos];
  const time = (digits: string | undefined): bigint | null =>
    digits === undefined ? null : notationStart + BigInt(Math.round(Number(digits) * unit));
  const flags = new Set<string>();
  const words = new Map<string, string>();
  const links: string[] = [];
  const attributes: [string, string][] = [];
  for (const [, key = "", value] of rest.matchAll(/([^\s=]+)(?:=("[^"]*"|\S*))?/g)) {
    if (value === undefined) flags.add(key);
    else if (key === "link") links.push(value);
    else if (reserved.has(key)) words.set(key, value.replace(/^"|"$/g, ""));
    else attributes.push([key, value]);
  }
  const known = new Set(["error", "ok", "client", "server", "producer", "consumer", "internal"]);
  for (const flag of flags) if (!known.has(flag)) throw new Error(`unknown word "${flag}" in "${line}"`);
  const [start, end] = [time(interval[1]), time(interval[2])];
  return { service, operation: operation.join(" "), start, end, flags, words, links, attributes };
}

const placeWords = ["host", "instance", "namespace", "env", "version"];

function inheritPlace(written: Written, above: Written | undefined): Written {
  if (above?.service !== written.service) return written;
  const place = [...above.words].filter(([word]) => placeWords.includes(word));
  const resource = above.attributes.filter(([key]) => key.startsWith("resource."));
  const words = new Map([...place, ...written.words]);
  return { ...written, words, attributes: [...resource, ...written.attributes] };
}

interface Ids {
  readonly id: number;
  readonly trace: number;
  readonly parent: number;
}

function writeRow(table: SpanTable, written: Written, ids: Ids): void {
  const { strings, attributes, events, links } = table;
  const { words, flags } = written;
  const resource = writeResource(table, written);
  const scope = table.scopes.length > 0 ? 0 : table.scopes.add();
  const row = table.addRow(resource, scope);
  table.traceId[row * 4 + 3] = ids.trace;
  table.spanId[row * 2 + 1] = ids.id;
  table.parentSpanId[row * 2 + 1] = ids.parent;
  writeTime(table.startTime, row, written.start);
  writeTime(table.endTime, row, written.end);
  table.kind[row] = kindIn(flags);
  table.statusCode[row] = flags.has("error")
    ? StatusCode.Error
    : flags.has("ok")
      ? StatusCode.Ok
      : StatusCode.Unset;
  table.name[row] = strings.intern(written.operation);
  table.statusMessage[row] = strings.intern(words.get("status") ?? "");
  table.traceState[row] = strings.intern(words.get("tracestate") ?? "");
  table.flags[row] = Number(words.get("flags") ?? 0);
  const dropped = Number(words.get("dropped") ?? 0);
  if (dropped > 0) table.dropped.set(row, { attributes: dropped, events: 0, links: 0 });
  for (const [key, value] of written.attributes)
    if (!key.startsWith("resource.")) attributes.addValue(strings.intern(key), typedValue(value));
  table.attributeEnd[row] = attributes.length;
  const exception = words.get("exception");
  if (exception !== undefined) {
    const at = events.add();
    events.name[at] = strings.intern("exception");
    events.attributeStart[at] = attributes.length;
    const [type = "", message = ""] = exception.split(/:\s*(.*)/s);
    attributes.addValue(strings.intern("exception.type"), type);
    attributes.addValue(strings.intern("exception.message"), message);
    events.attributeEnd[at] = attributes.length;
    table.eventEnd[row] = events.length;
  }
  for (const link of written.links) {
    const at = links.add();
    const [first = "", second] = link.split("/");
    links.traceId[at * 4 + 3] = second === undefined ? ids.trace : Number(first);
    links.spanId[at * 2 + 1] = Number(second ?? first);
    links.attributeStart[at] = links.attributeEnd[at] = attributes.length;
  }
  table.linkEnd[row] = links.length;
}

function writeResource(table: SpanTable, { service, words, attributes }: Written): number {
  const resource = table.resources.add();
  const { strings } = table;
  table.resources.attributeStart[resource] = table.attributes.length;
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined) table.attributes.addValue(strings.intern(key), value);
  };
  add("service.name", service === "-" ? undefined : service);
  add("service.namespace", words.get("namespace"));
  add("service.instance.id", words.get("instance"));
  add("service.version", words.get("version"));
  add("deployment.environment.name", words.get("env"));
  add("host.name", words.get("host"));
  for (const [key, value] of attributes)
    if (key.startsWith("resource."))
      table.attributes.addValue(strings.intern(key.slice("resource.".length)), typedValue(value));
  table.resources.attributeEnd[resource] = table.attributes.length;
  return resource;
}

function writeTime(column: Uint32Array, row: number, time: bigint | null): void {
  if (time === null) return;
  column[row * 2] = Number(time >> 32n);
  column[row * 2 + 1] = Number(time & 0xffffffffn);
}

function kindIn(flags: ReadonlySet<string>): number {
  if (flags.has("client")) return SpanKind.Client;
  if (flags.has("server")) return SpanKind.Server;
  if (flags.has("producer")) return SpanKind.Producer;
  if (flags.has("consumer")) return SpanKind.Consumer;
  return flags.has("internal") ? SpanKind.Internal : SpanKind.Unspecified;
}

function typedValue(text: string): string | bigint | number | boolean {
  if (text.startsWith('"')) return text.replace(/^"|"$/g, "");
  if (text === "true" || text === "false") return text === "true";
  if (/^-?\d+$/.test(text)) return BigInt(text);
  return /^-?\d+\.\d+$/.test(text) ? Number(text) : text;
}
