import { SpanKind } from "../../src/model/span-table.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { hugeTrace } from "../huge-trace.ts";
import { rowsOf } from "../notation.ts";
import { type Body, protobuf } from "./both-ways.ts";

const rowsOfRequest = 10_000;

/** Requests with the spans 1 to `count` of one trace, in disorder; `parentOf` a span is the number of another, 0 = none. */
export function largeTrace(count: number, parentOf: (span: number) => number): readonly Body[] {
  const table = hugeTrace(count, {
    parent: parentOf,
    start: (i) => i * 1_000,
    end: (i) => 4_000_000_000 - i * 1_000,
    kind: (i) => (i % 2 === 0 ? SpanKind.Client : SpanKind.Server),
    failed: (i) => i % 1_000 === 1,
  });
  const rows = rowsOf(table);
  const bodies: Body[] = [];
  for (let at = 0; at < rows.length; at += rowsOfRequest)
    bodies.push(protobuf(encodeTraces(rows.slice(at, at + rowsOfRequest))));
  return bodies;
}
