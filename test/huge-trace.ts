import { SpanTable, StatusCode } from "../src/model/span-table.ts";
import { notationStart } from "./notation.ts";

export interface Shape {
  /** of the span with number `i` (from 1); 0 = root */
  readonly parent: (i: number) => number;
  readonly start: (i: number) => number;
  readonly end: (i: number) => number;
  readonly kind: (i: number) => number;
  readonly failed: (i: number) => boolean;
}

/** A trace of `count` spans, written backwards so that no span follows its parent. */
export function hugeTrace(count: number, shape: Shape): SpanTable {
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
    const row = table.addRow(resources[i % 3]!, scope);
    table.traceId[row * 4 + 3] = 1;
    table.spanId[row * 2 + 1] = i;
    table.parentSpanId[row * 2 + 1] = shape.parent(i);
    for (const [column, time] of [
      [table.startTime, shape.start(i)],
      [table.endTime, shape.end(i)],
    ] as const) {
      const nanos = notationStart + BigInt(time);
      column[row * 2] = Number(nanos >> 32n);
      column[row * 2 + 1] = Number(nanos & 0xffffffffn);
    }
    table.kind[row] = shape.kind(i);
    table.statusCode[row] = shape.failed(i) ? StatusCode.Error : StatusCode.Unset;
    table.name[row] = name;
  }
  return table;
}
