import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wordsOfHex } from "../../src/model/ids.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { MalformedBodyError } from "../../src/model/telemetry.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { decodeOneTrace, decodeTraces } from "../../src/otlp/protobuf-traces.ts";
import { runs } from "../runs.ts";
import {
  arbitraryTraces,
  messageType,
  oracleEncode,
  oracleRequest,
  oracleRows,
  reorderFields,
  rowsOf,
} from "./protobuf-oracle.ts";

const requestType = messageType("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest");
const traceId = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const spanId = Uint8Array.from({ length: 8 }, (_, i) => i + 1);

function decode(body: Uint8Array): SpanTable {
  const table = new SpanTable(4);
  decodeTraces(body, table);
  return table;
}

/** A length-delimited field. */
function field(number: number, ...content: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const bytes = Buffer.concat(content.map((part) => Uint8Array.from(part)));
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

/** Messages in messages, from the outside in. */
function nest(tags: readonly number[], levels: number, inmost: Uint8Array): Uint8Array {
  const headers: Uint8Array[] = [];
  let { length } = inmost;
  for (let level = levels - 1; level >= 0; level -= 1) {
    const size = varint(length);
    headers.push(Buffer.concat([Uint8Array.of(tags[level % tags.length]!), size]));
    length += 1 + size.length;
  }
  return Buffer.concat([...headers.reverse(), inmost]);
}

const goodSpan = field(2, field(1, traceId), field(2, spanId), field(5, Buffer.from("good")));

function request(...spans: readonly Uint8Array[]): Uint8Array {
  return field(1, field(2, ...spans));
}

/** A body with one odd span between two good ones. */
function checkRejected(oddSpan: Uint8Array, reason: string): void {
  const table = new SpanTable(4);
  const result = decodeTraces(request(goodSpan, field(2, oddSpan), goodSpan), table);
  expect([...result.reasons]).toEqual([[reason, 1]]);
  expect(result).toMatchObject({ accepted: 2, rejected: 1 });
  expect(rowsOf(table)).toEqual(rowsOf(decode(request(goodSpan, goodSpan))));
}

function checkMalformed(body: Uint8Array, offset: number): void {
  const table = decode(request(goodSpan));
  const before = rowsOf(table);
  const mark = table.mark();
  let error: unknown;
  try {
    decodeTraces(body, table);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(MalformedBodyError);
  expect((error as MalformedBodyError).offset).toBe(offset);
  expect(table.mark()).toEqual(mark);
  expect(rowsOf(table)).toEqual(before);
}

describe("trace requests of any shape", () => {
  test("are read as protobufjs reads them, and every span is accepted or counted", () => {
    fc.assert(
      fc.property(arbitraryTraces, (plain) => {
        const body = oracleEncode("traces", plain);
        const oracle = oracleRequest("traces", body);
        const expected = oracleRows(oracle);
        const table = new SpanTable(1);
        const result = decodeTraces(body, table);
        expect(rowsOf(table)).toEqual(expected);
        const all = oracle.resourceSpans.flatMap((r: { scopeSpans: { spans: unknown[] }[] }) =>
          r.scopeSpans.flatMap((s) => s.spans),
        ).length;
        expect([result.accepted, result.rejected]).toEqual([expected.length, all - expected.length]);
        expect([...result.reasons.values()].reduce((sum, n) => sum + n, 0)).toBe(result.rejected);
      }),
      { numRuns: runs(75) },
    );
  });

  test("say the same with their fields in any order", () => {
    fc.assert(
      fc.property(arbitraryTraces, fc.nat(), (plain, seed) => {
        const body = oracleEncode("traces", plain);
        expect(rowsOf(decode(reorderFields(requestType, body, seed)))).toEqual(rowsOf(decode(body)));
      }),
      { numRuns: runs(50) },
    );
  });

  test("survive writing and reading, by our reader and by protobufjs", () => {
    fc.assert(
      fc.property(arbitraryTraces, (plain) => {
        const table = decode(oracleEncode("traces", plain));
        const rows = Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
        const written = encodeTraces(rows);
        expect(rowsOf(decode(written))).toEqual(rowsOf(table));
        expect(oracleRows(oracleRequest("traces", written))).toEqual(rowsOf(table));
      }),
      { numRuns: runs(75) },
    );
  });

  test("are read for one trace as if only that one were there, whatever the order of fields", () => {
    fc.assert(
      fc.property(arbitraryTraces, fc.option(fc.nat()), fc.nat(), (plain, seed, pick) => {
        const encoded = oracleEncode("traces", plain);
        const body = seed === null ? encoded : reorderFields(requestType, encoded, seed);
        const all = decode(body);
        if (all.rowCount === 0) return;
        const wanted = new Span(all, pick % all.rowCount).traceId;
        const some = new SpanTable(1);
        decodeOneTrace(body, some, wordsOfHex(wanted));
        const isWanted = (_: unknown, row: number): boolean => new Span(all, row).traceId === wanted;
        expect(rowsOf(some)).toEqual(rowsOf(all).filter(isWanted));
      }),
      { numRuns: runs(75) },
    );
  });

  test("append to a table that has rows already", () => {
    fc.assert(
      fc.property(arbitraryTraces, arbitraryTraces, (first, second) => {
        const [a, b] = [oracleEncode("traces", first), oracleEncode("traces", second)];
        const table = decode(a);
        decodeTraces(b, table);
        expect(rowsOf(table)).toEqual([...rowsOf(decode(a)), ...rowsOf(decode(b))]);
      }),
      { numRuns: runs(13) },
    );
  });

  test("throw nothing but MalformedBodyError when bytes are changed, and leave the table as it was", () => {
    fc.assert(
      fc.property(
        arbitraryTraces,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        (plain, changes) => {
          const body = oracleEncode("traces", plain);
          for (const [at, byte] of changes) if (body.length > 0) body[at % body.length] = byte;
          const table = decode(request(goodSpan));
          try {
            decodeTraces(body, table);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedBodyError);
            expect(rowsOf(table)).toEqual(rowsOf(decode(request(goodSpan))));
          }
        },
      ),
      { numRuns: runs(125) },
    );
  });

  test("cut off anywhere are malformed or shorter, whatever lies behind them in memory", () => {
    const samples = fc.sample(arbitraryTraces, { seed: 7, numRuns: 20 });
    const body = samples.map((plain) => oracleEncode("traces", plain)).find(({ length }) => length > 200)!;
    const memory = Buffer.concat([new Uint8Array(3), body, request(goodSpan), new Uint8Array(64).fill(0xff)]);
    for (let length = 0; length <= body.length; length += 1) {
      const outcomes = [body.slice(0, length), memory.subarray(3, 3 + length)].map((part) => {
        try {
          return rowsOf(decode(part));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBodyError);
          return (error as MalformedBodyError).offset;
        }
      });
      expect(outcomes[0]).toEqual(outcomes[1]);
    }
  });
});

describe("one bad span does not cost its batch", () => {
  const ids = Buffer.concat([field(1, traceId), field(2, spanId)]);
  test("ids that are missing, zero or of the wrong length", () => {
    checkRejected(field(2, spanId), "invalid_trace_id");
    checkRejected(Buffer.concat([field(1, new Uint8Array(16)), field(2, spanId)]), "invalid_trace_id");
    checkRejected(Buffer.concat([field(1, spanId), field(2, spanId)]), "invalid_trace_id");
    checkRejected(field(1, traceId), "invalid_span_id");
    checkRejected(Buffer.concat([field(1, traceId), field(2, new Uint8Array(8))]), "invalid_span_id");
    checkRejected(Uint8Array.of(), "invalid_trace_id");
  });

  test.each<[string, Uint8Array | readonly number[]]>([
    ["a field that runs past the end of the span", [0x2a, 5, 1]],
    ["a varint that never ends", [0x30, ...new Uint8Array(10).fill(0xff), 1]],
    ["a time of seven bytes", [0x39, 1, 2, 3, 4, 5, 6, 7]],
    ["field number 0", [0x02, 0]],
    ["wire type 6", [0x0e, 0]],
    ["the end of a group that never started", [0x0c]],
    ["a broken attribute", field(9, [0x0a, 9, 1])],
    ["a broken attribute value", field(9, field(1, [0x61]), field(2, [0x0a, 2, 1]))],
    ["a broken nested value", field(9, field(2, field(5, field(1, [0x18]))))],
    ["a broken event after a good one", Buffer.concat([field(11, field(2, [0x61])), field(11, [0x09, 1])])],
    ["a broken link", field(13, field(4, [0x0a, 9]))],
    ["a broken status", field(15, [0x18])],
  ])("%s", (_, odd) => {
    checkRejected(Buffer.concat([ids, Uint8Array.from(odd)]), "malformed_span");
  });

  test("a parent id of zeros or of a wrong length makes a root", () => {
    for (const parent of [new Uint8Array(8), traceId, new Uint8Array(0)]) {
      const [row] = rowsOf(decode(request(field(2, ids, field(4, parent)))));
      expect(row).toMatchObject({ parentSpanId: null });
    }
  });

  test("ill-formed UTF-8 reads as U+FFFD, is counted, and is written as it came", () => {
    const span = field(
      2,
      ids,
      field(5, [0x61, 0xff, 0x62]),
      field(9, field(1, [0x6b, 0xc3]), field(2, field(1, [0xfe]))),
    );
    const table = decode(request(span));
    expect(rowsOf(table)).toMatchObject([{ name: "a\ufffdb", attributes: [["k\ufffd", "\ufffd"]] }]);
    expect(table.strings.illFormedCount).toBe(3);
    expect(Buffer.from(encodeTraces([{ table, row: 0 }])).toString("latin1")).toContain("\x2a\x03a\xffb");
  });
});

describe("what the wire format allows", () => {
  const ids = Buffer.concat([field(1, traceId), field(2, spanId)]);
  test("a singular message that comes twice is merged", () => {
    const resource = (key: string) => field(1, field(1, field(1, Buffer.from(key))));
    const status = Buffer.concat([field(15, field(2, Buffer.from("why"))), field(15, [0x18, 2])]);
    const body = field(1, resource("a"), field(2, field(2, ids, status)), resource("b"));
    expect(rowsOf(decode(body))).toMatchObject([
      {
        resource: [
          ["a", null],
          ["b", null],
        ],
        status: [2, "why"],
      },
    ]);
  });

  test("an array value that comes twice is joined, another kind of value replaces it", () => {
    const one = (number: number) => field(5, field(1, [0x18, number]));
    const joined = field(9, field(2, one(1)), field(2, one(2)));
    const replaced = field(9, field(2, one(1), field(1, Buffer.from("x"))));
    expect(rowsOf(decode(request(field(2, ids, joined, replaced))))).toMatchObject([
      {
        attributes: [
          ["", [1n, 2n]],
          ["", "x"],
        ],
      },
    ]);
  });

  test("unknown fields, groups and indices into a string table are passed over", () => {
    const group = Uint8Array.of(0xa3, 0x01, 0xab, 0x01, 0x08, 1, 0xac, 0x01, 0xa4, 0x01);
    const strindex = field(9, [0x18, 7], field(2, [0x40, 3]));
    const span = field(2, group, ids, [0xf8, 0x01, 1], strindex, field(1000, [1, 2]));
    const body = Buffer.concat([field(1, field(1000, [9]), group, field(2, span, group)), group]);
    expect(rowsOf(decode(body))).toMatchObject([{ attributes: [["", null]] }]);
  });

  test("empty requests and envelopes leave nothing behind", () => {
    for (const body of [new Uint8Array(), field(1), field(1, field(1)), field(1, field(2)), request()]) {
      const table = new SpanTable(4);
      expect(decodeTraces(body, table)).toMatchObject({ accepted: 0, rejected: 0 });
      expect(table.mark()).toEqual(new SpanTable(4).mark());
    }
  });

  test("int64 values are exact at both ends", () => {
    const values = [
      "9223372036854775807",
      "-9223372036854775808",
      "9007199254740993",
      "-1",
      "-9007199254740993",
    ];
    const attributes = values.map((intValue) => ({ key: "n", value: { intValue } }));
    const body = oracleEncode("traces", {
      resourceSpans: [{ scopeSpans: [{ spans: [{ traceId, spanId, attributes }] }] }],
    });
    expect(rowsOf(decode(body))).toMatchObject([{ attributes: values.map((value) => ["n", BigInt(value)]) }]);
  });
});

describe("broken envelopes are malformed and say where", () => {
  test("lengths, varints, tags", () => {
    checkMalformed(Uint8Array.of(0x0a, 5, 1), 1);
    checkMalformed(Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), 1);
    checkMalformed(Uint8Array.of(0x0a, ...new Uint8Array(11).fill(0x80)), 1);
    checkMalformed(Buffer.concat([request(goodSpan), Uint8Array.of(0x00)]), request(goodSpan).length);
    checkMalformed(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x01), 0);
    checkMalformed(Uint8Array.of(0x0f), 1);
    checkMalformed(field(1, field(2, goodSpan), [0x12, 9]), request(goodSpan).length + 1);
    checkMalformed(field(1, field(1, [0x0a, 3]), field(2, goodSpan)), 5);
  });

  test("a JSON body", () => {
    checkMalformed(Buffer.from('{"resourceSpans":[]}'), 2);
  });
});

describe("bombs are flat and fast", () => {
  const ids = Buffer.concat([field(1, traceId), field(2, spanId)]);

  test.each([
    ["key-value lists", [0x32, 0x0a, 0x12]],
    ["arrays", [0x2a, 0x0a]],
  ])("200,000 nested %s end at the depth limit", (_, tags) => {
    const bomb = field(9, field(1, Buffer.from("bomb")), field(2, nest(tags, 200_000, field(1, [0x61]))));
    const started = performance.now();
    const table = decode(request(field(2, ids, bomb), goodSpan));
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(table.rowCount).toBe(2);
    let value = table.attributes.valueAt(0);
    let depth = 1;
    for (; typeof value === "object" && value !== null; depth += 1)
      value = value instanceof Map ? value.get("")! : (value as readonly never[])[0]!;
    expect([depth, value]).toEqual([65, "…"]);
    expect(decode(encodeTraces([{ table, row: 0 }])).attributes.valueAt(0)).toEqual(
      table.attributes.valueAt(0),
    );
  });

  test("200,000 nested groups reject their span, or the body where they are in an envelope", () => {
    const groups = new Uint8Array(200_000).fill(0x1b);
    expect(decodeTraces(request(field(2, ids, groups), goodSpan), new SpanTable(4))).toMatchObject({
      accepted: 1,
      rejected: 1,
    });
    checkMalformed(groups, 65);
  });

  test("a million empty spans are counted one by one", () => {
    const spans = Buffer.alloc(2_000_000, Uint8Array.of(0x12, 0));
    const result = decodeTraces(request(spans), new SpanTable(4));
    expect([...result.reasons]).toEqual([["invalid_trace_id", 1_000_000]]);
  });
});
