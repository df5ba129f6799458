import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SpanTable } from "../src/model/span-table.ts";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import { decodeTraces } from "../src/otlp/protobuf-traces.ts";
import { measureRate, type Row, spansPerCpuSecond } from "./measure.ts";
import { makeBatches, makeBodies } from "./span-fixtures.ts";

const fixture = { spans: 16_384, spansPerBatch: 512, seed: 1 };
const root = fileURLToPath(new URL("..", import.meta.url));

/** Protobuf bodies of 512 spans to columns and back, beside what protobufjs generates for the same messages. */
export async function benchTracesProtobuf(): Promise<readonly Row[]> {
  const bodies = [...makeBodies(fixture)];
  const batches = [...makeBatches(fixture)];
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
  const note = `${Math.round(bytes / fixture.spans)} bytes a span, ${fixture.spansPerBatch} spans a batch`;
  const own = measureRate({
    items: fixture.spans,
    run: () => bodies.reduce((rows, body) => rows + rowsOf(body), 0),
  });
  const generated = await generateStaticCode();
  const theirs = measureRate({
    items: fixture.spans,
    run: () => bodies.reduce((sum, body) => sum + generated.decode(body).resourceSpans.length, 0),
  });
  const encoded = measureRate({
    items: fixture.spans,
    run: () => batches.reduce((sum, rows) => sum + encodeTraces(rows).length, 0),
  });
  return [
    {
      subject: "decode traces, protobuf",
      result: `${spansPerCpuSecond(own)}, ${(own / theirs).toFixed(1)} times protobufjs`,
      bar: ">= 600,000 spans/CPU-s, >= 4 times protobufjs",
      note,
    },
    {
      subject: "decode traces, protobufjs static code",
      result: spansPerCpuSecond(theirs),
      note: "objects, not columns",
    },
    { subject: "encode traces, protobuf", result: spansPerCpuSecond(encoded), note },
  ];
}

function rowsOf(body: Uint8Array): number {
  const table = new SpanTable(Math.ceil(body.length / 350));
  decodeTraces(body, table);
  return table.rowCount;
}

interface StaticMessage {
  decode(body: Uint8Array): { readonly resourceSpans: readonly unknown[] };
}

/** The generated class of ExportTraceServiceRequest. Its folder lies where `protobufjs/minimal` can be found. */
async function generateStaticCode(): Promise<StaticMessage> {
  const folder = await mkdtemp(join(root, "node_modules", ".bench-"));
  try {
    const output = join(folder, "traces.cjs");
    const service = join("opentelemetry", "proto", "collector", "trace", "v1", "trace_service.proto");
    const pbjs = join(root, "node_modules", "protobufjs-cli", "bin", "pbjs");
    const options = ["-t", "static-module", "-w", "commonjs", "-p", join(root, "proto"), "-o", output];
    await promisify(execFile)(process.execPath, [pbjs, ...options, service]);
    const generated = createRequire(import.meta.url)(output) as {
      opentelemetry: {
        proto: { collector: { trace: { v1: { ExportTraceServiceRequest: StaticMessage } } } };
      };
    };
    return generated.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
  } finally {
    await rm(folder, { recursive: true });
  }
}
