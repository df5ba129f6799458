import { SpanKind, SpanTable, StatusCode } from "../../src/model/span-table.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { notationStart, rowsOf } from "../notation.ts";
import { type Body, protobuf } from "./both-ways.ts";

const rowsOfRequest = 10_000;

/** Requests with the spans 1 to `count` of one trace, in disorder; `parentOf` a span is the number of another, 0 = none. */
export function largeTrace(count: number, parentOf: (span: number) => number): readonly Body[] {
  const table = new SpanTable(count);
  const scope = table.scopes.add();
  const resources = ["a", "b", "c"].map((name) => {
    const resource = table.resources.add();
    table.resources.attributeStart[resource] = table.attributes.length;
    table.attributes.addValue(table.strings.intern("service.name"), name);
    table.resources.attributeEnd[resource] = table.attributes.length;
    return resource;
  });
  const name = table.strings.intern("work");
  for (let i = count; i >= 1; i -= 1) {
    const row = table.addRow(resources[i % 3] as number, scope);
    table.traceId[row * 4 + 3] = 1;
    table.spanId[row * 2 + 1] = i;
    table.parentSpanId[row * 2 + 1] = parentOf(i);
    writeTime(table.startTime, row, i * 1_000);
    writeTime(table.endTime, row, 4_000_000_000 - i * 1_000);
    table.kind[row] = i % 2 === 0 ? SpanKind.Client : SpanKind.Server;
    table.statusCode[row] = i % 1_000 === 1 ? StatusCode.Error : StatusCode.Unset;
    table.name[row] = name;
  }
  const rows = rowsOf(table);
  const bodies: Body[] = [];
  for (let at = 0; at < rows.length; at += rowsOfRequest)
    bodies.push(protobuf(encodeTraces(rows.slice(at, at + rowsOfRequest))));
  return bodies;
}

function writeTime(column: Uint32Array, row: number, afterStart: number): void {
  const nanos = notationStart + BigInt(afterStart);
  column[row * 2] = Number(nanos >> 32n);
  column[row * 2 + 1] = Number(nanos & 0xffffffffn);
}
