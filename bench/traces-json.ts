import { SpanTable } from "../src/model/span-table.ts";
import { decodeTracesJson } from "../src/otlp/json-traces.ts";
import { tracesToJson } from "../src/otlp/json-write.ts";
import { measureRate, type Row, spansPerCpuSecond } from "./measure.ts";
import { makeBatches } from "./span-fixtures.ts";

const fixture = { spans: 8_192, spansPerBatch: 512, seed: 1 };

/** OTLP JSON bodies of 512 spans to columns and back, beside JSON.parse, which only makes objects. */
export async function benchTracesJson(): Promise<readonly Row[]> {
  const batches = [...makeBatches(fixture)];
  const encoder = new TextEncoder();
  const bodies = batches.map((rows) => encoder.encode(tracesToJson(rows)));
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
  const note = `${Math.round(bytes / fixture.spans)} bytes a span, ${fixture.spansPerBatch} spans a batch`;
  const decoder = new TextDecoder();
  const own = measureRate({
    items: fixture.spans,
    run: () => bodies.reduce((rows, body) => rows + rowsOf(body), 0),
  });
  const theirs = measureRate({
    items: fixture.spans,
    run: () => bodies.reduce((keys, body) => keys + Object.keys(JSON.parse(decoder.decode(body))).length, 0),
  });
  const written = measureRate({
    items: fixture.spans,
    run: () => batches.reduce((sum, rows) => sum + tracesToJson(rows).length, 0),
  });
  return [
    {
      subject: "decode traces, JSON",
      result: spansPerCpuSecond(own),
      note: `${note}; ${(own / theirs).toFixed(1)} times JSON.parse`,
    },
    {
      subject: "JSON.parse of the same bodies",
      result: spansPerCpuSecond(theirs),
      note: "objects, not columns",
    },
    { subject: "encode traces, JSON", result: spansPerCpuSecond(written), note },
  ];
}

function rowsOf(body: Uint8Array): number {
  const table = new SpanTable(Math.ceil(body.length / 700));
  decodeTracesJson(body, table);
  return table.rowCount;
}
