import { expect } from "vitest";
import type { GraphJson, ServiceJson, TraceReport, WindowReport } from "../../src/analysis/report.ts";
import type { EngineLimits } from "../../src/engine/limits.ts";
import type { Encoding, Signal } from "../../src/engine/ports.ts";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import type { Problem } from "../../src/model/problems.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import type { Answered } from "../conformance/ask.ts";
import { live } from "../engine/live.ts";
import { streamOf } from "../formats/sources.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { answersOfFiles, idOf, type ReadingOptions } from "../pipeline/answers.ts";

export interface Body {
  readonly signal: Signal;
  readonly encoding: Encoding;
  readonly bytes: Uint8Array;
}

/** What hypocenter makes of some telemetry. */
export interface World {
  readonly graph: GraphJson;
  readonly services: readonly ServiceJson[];
  /** of everything, read from files */
  readonly window: WindowReport;
  /** The report of the trace that the notation calls `trace=N`. */
  readonly report: (trace?: number) => TraceReport;
  /** answers of the server, one for each body */
  readonly replies: readonly Answered[];
  /** what the server counted */
  readonly stats: Readonly<Record<string, number>>;
  /** spans that the server took, and that it rejected */
  readonly accepted: number;
  readonly rejected: number;
}

/**
 * The telemetry as a file that is read and as requests to a server on a real socket: both must give the same answers. A
 * server compares a trace with what went on around it: unless all of it is near (`isNeighbours`), reports differ in that.
 */
export async function bothWays(
  bodies: readonly Body[],
  isNeighbours = true,
  settings: ReadingOptions["settings"] = {},
): Promise<World> {
  const files = await answersOfFiles(filesOf(bodies), { settings });
  const server = await answersOfServer(bodies, [...files.traces.keys()], settings);
  expectSame(parsed(server.graph), parsed(files.graph));
  expectSame(parsed(server.services), parsed(files.services));
  if (isNeighbours)
    for (const [id, report] of files.traces)
      expectSame(withoutReading(parsed(server.traces.get(id) ?? "null")), withoutReading(parsed(report)));
  return {
    ...server,
    graph: parsed(files.graph) as GraphJson,
    services: parsed(files.services) as readonly ServiceJson[],
    window: parsed(files.window) as WindowReport,
    report: (trace = 1) => parsed(files.traces.get(idOf(trace)) ?? "null") as TraceReport,
  };
}

/** Requests in the notation of the tests. */
export function spans(...texts: readonly string[]): readonly Body[] {
  return texts.map((text) => ({
    signal: "traces",
    encoding: "protobuf",
    bytes: encodeTraces(rowsOf(tableOf(text))),
  }));
}

export function json(content: object | string, signal: Signal = "traces"): Body {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return { signal, encoding: "json", bytes: Buffer.from(text) };
}

export function protobuf(bytes: Uint8Array, signal: Signal = "traces"): Body {
  return { signal, encoding: "protobuf", bytes };
}

/** A request of one service, for spans that the notation cannot write; ids and times are good unless given. */
export function request(
  changes: readonly object[],
  resource: readonly object[] = [serviceName("web")],
): object {
  const written = changes.map((change, i) => ({
    traceId: "1".padStart(32, "0"),
    spanId: (i + 1).toString(16).padStart(16, "0"),
    name: "work",
    kind: 2,
    startTimeUnixNano: "1704067200000000000",
    endTimeUnixNano: "1704067200050000000",
    ...change,
  }));
  return { resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [{ spans: written }] }] };
}

export function serviceName(value: unknown): object {
  return attribute("service.name", value);
}

/** Strings, integers and booleans as they are; anything else is an AnyValue already. */
export function attribute(key: string, value: unknown): object {
  if (typeof value === "string") return { key, value: { stringValue: value } };
  if (typeof value === "number") return { key, value: { intValue: String(value) } };
  return { key, value: typeof value === "boolean" ? { boolValue: value } : value };
}

export function kindsOf(problems: readonly Pick<Problem, "kind">[]): readonly string[] {
  return [...new Set(problems.map(({ kind }) => kind))].sort();
}

export function edgesOf({ edges }: GraphJson): string[] {
  return edges.map(({ caller, callee, kind, calls }) => `${caller} -> ${callee} ${kind} ${calls}`);
}

/** One file for each signal and encoding: bytes of a raw or delimited file do not say which signal they are. */
function filesOf(bodies: readonly Body[]): readonly ByteSource[] {
  const files = new Map<string, Uint8Array[]>();
  for (const { signal, encoding, bytes } of bodies) {
    const parts = files.get(`${signal} ${encoding}`) ?? [];
    files.set(`${signal} ${encoding}`, parts);
    if (encoding === "json") parts.push(bytes, Buffer.from("\n"));
    else parts.push(bigEndian(bytes.length), bytes);
  }
  return [...files].map(([name, parts]) => streamOf(Buffer.concat(parts), 1 << 16, name));
}

function bigEndian(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const contentTypes = { protobuf: "application/x-protobuf", json: "application/json" };

async function answersOfServer(
  bodies: readonly Body[],
  ids: readonly ReturnType<typeof idOf>[],
  settings: Partial<EngineLimits>,
) {
  const world = live(settings);
  const { engine, faults } = world;
  const server = await otlpServer({ ingest: engine });
  try {
    const replies: Answered[] = [];
    for (const { signal, encoding, bytes } of bodies)
      replies.push(await server.send(`/v1/${signal}`, { "content-type": contentTypes[encoding] }, bytes));
    await world.wait(60_000);
    const traces = new Map<string, string>();
    for (const id of ids) {
      const analysis = await engine.analyzeTrace(id, { language: "en", scoring: "evidence" });
      traces.set(id, writeJson(analysis?.report ?? null));
    }
    expect([...faults, ...server.faults]).toEqual([]);
    expect(server.budget.used).toBe(0);
    return {
      replies,
      traces,
      stats: engine.stats(),
      graph: writeJson(await engine.graph(null)),
      services: writeJson((await engine.services(null)).services),
      accepted: server.count("accepted_spans_total") ?? 0,
      rejected: server.count("rejected_spans_total") ?? 0,
    };
  } finally {
    await server.close();
  }
}

/** What only a reader of files says in a report: a server says it in its answer to the sender. */
const readingKinds = new Set(["rejected_span", "malformed_record", "unreadable_input"]);

function withoutReading(report: unknown): unknown {
  if (typeof report !== "object" || report === null || !("problems" in report)) return report;
  const problems = report.problems as readonly Problem[];
  return { ...report, problems: problems.filter(({ kind }) => !readingKinds.has(kind)) };
}

/** Texts are compared first: finding out where two answers of megabytes differ takes seconds, even where they do not. */
function expectSame(answer: unknown, expected: unknown): void {
  if (JSON.stringify(answer) !== JSON.stringify(expected)) expect(answer).toEqual(expected);
}

function parsed(text: string): unknown {
  return JSON.parse(text);
}
