import { deflateSync, gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { metricSeriesMax } from "../../src/model/limits.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { zstdBomb } from "../compression/zstd-frames.ts";
import { collect, streamOf } from "../formats/sources.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { messageType, oracleEncode, reorderFields } from "../otlp/protobuf-oracle.ts";
import { bombs, lengthPrefix, spanWith } from "./bombs.ts";
import { attribute, bothWays, json, protobuf, request, serviceName, spans } from "./both-ways.ts";
import { cpuMsSince } from "./cpu-time.ts";

const types = { protobuf: "application/x-protobuf", json: "application/json" };
const rows = rowsOf(tableOf("web GET / 0..9ms server\n  cart GET / 1..8ms server"));
const protobufBody = Buffer.from(encodeTraces(rows));
const jsonBody = Buffer.from(tracesToJson(rows));

async function serve(...options: Parameters<typeof otlpServer>) {
  const server = await otlpServer(...options);
  onTestFinished(() => server.close());
  return server;
}

/** A field of bytes. */
function field(tag: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([lengthPrefix(tag, content.length), content]);
}

const oneSpan = Buffer.from(encodeTraces(rows.slice(0, 1)));

test.each(bombs)("P13: %s cost what their bytes cost", async (_, bomb) => {
  const server = await serve();
  const before = process.cpuUsage();
  const { status } = await server.send("/v1/traces", { "content-type": types[bomb.encoding] }, bomb.bytes);
  expect(cpuMsSince(before)).toBeLessThan(1_000);
  expect([200, 400]).toContain(status);
  expect(server.faults).toEqual([]);
  // beside a good body: as a file, and over the network
  const { report } = await bothWays([...spans("web GET / 0..9ms trace=7"), bomb]);
  expect(report(7).trace.span_count).toBe(1);
});

const broken: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["a varint of eleven bytes", Uint8Array.of(0x08, ...Array.from({ length: 10 }, () => 0x80), 0x01)],
  ["a varint without end", Uint8Array.of(0x08, 0x80)],
  ["a length beyond the body", Uint8Array.of(0x0a, 0x7f, 0x00)],
  ["a negative length", Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)],
  ["a message that is cut off", protobufBody.subarray(0, protobufBody.length - 3)],
  ["tag 0", Uint8Array.of(0x00, 0x00)],
  ["wire type 6", Uint8Array.of(0x0e)],
  ["wire type 7", Uint8Array.of(0x0f)],
  ["a field number beyond 2^29", Uint8Array.of(0x82, 0x80, 0x80, 0x80, 0x10, 0x00)],
  ["a group that does not end", Uint8Array.of(0x0b)],
  ["the end of no group", Uint8Array.of(0x0c)],
];

test.each(broken)("P14: %s refuses the body, and nothing is read past its end", async (_, bytes) => {
  const server = await serve();
  // more of the same memory behind it
  const within = Buffer.concat([bytes, protobufBody]).subarray(0, bytes.length);
  const reply = await server.send("/v1/traces", { "content-type": types.protobuf }, within);
  expect(reply.status).toBe(400);
  expect(server.handed).toEqual([]);
  const { summary } = await collect([streamOf(delimited(protobufBody, bytes, protobufBody))]);
  expect(summary).toMatchObject({ spans: { accepted: 4 }, malformedRecords: 1 });
});

test("P15: fields in any order, the resource behind its spans, a resource in two parts: the same telemetry", async () => {
  const expected = await bothWays([protobuf(protobufBody)]);
  const type = messageType("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest");
  for (const seed of [1, 2, 3]) {
    const { graph, report } = await bothWays([protobuf(reorderFields(type, protobufBody, seed))]);
    expect([graph, report()]).toEqual([expected.graph, expected.report()]);
  }
  const host = oracleEncode("traces", {
    resourceSpans: [{ resource: { attributes: [attribute("host.name", "n1")] } }],
  });
  const name = oracleEncode("traces", {
    resourceSpans: [{ resource: { attributes: [attribute("service.name", "split")] } }],
  });
  const span = spanWith(Uint8Array.of(0x0a, 1, 0x78));
  const parts = [host, span, name].map((bytes) => contentOf(bytes));
  const body = field(0x0a, Buffer.concat(parts));
  expect((await bothWays([protobuf(body)])).services.map(({ service }) => service)).toEqual(["split"]);
});

test("P15: numbers of a list are the same one by one and packed", async () => {
  const dataPoint = { timeUnixNano: "5", count: "3", explicitBounds: [1], bucketCounts: ["1", "2"] };
  const metrics = [{ name: "h", histogram: { aggregationTemporality: 1, dataPoints: [dataPoint] } }];
  const packed = oracleEncode("metrics", { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  const { points } = await collect([streamOf(packed)]);
  // ours are written one by one
  const unpacked = encodeMetrics(points);
  expect(unpacked.length).toBeGreaterThan(packed.length);
  expect((await collect([streamOf(unpacked)])).points).toEqual(points);
  const server = await serve();
  for (const body of [packed, unpacked])
    expect((await server.send("/v1/metrics", { "content-type": types.protobuf }, body)).status).toBe(200);
  expect(server.handed.map(({ decoded }) => decoded)).toEqual([
    { signal: "metrics", points },
    { signal: "metrics", points },
  ]);
});

/** What a field of a message holds, behind its tag and length. */
function contentOf(message: Uint8Array): Uint8Array {
  let at = 1;
  while ((message[at] as number) > 0x7f) at += 1;
  return message.subarray(at + 1);
}

test("P16: a bomb of gzip, deflate or zstd is refused at the limit, and memory rises by no more than twice that", async () => {
  const limit = 8 * 1024 * 1024;
  const server = await serve({ bodyBytesMax: limit });
  const plain = Buffer.alloc(128 * 1024 * 1024);
  const packed = {
    gzip: gzipSync(plain, { level: 1 }),
    deflate: deflateSync(plain, { level: 1 }),
    zstd: zstdBomb(plain.length),
  };
  const rssBefore = process.memoryUsage.rss();
  for (const [coding, body] of Object.entries(packed)) {
    const headers = { "content-type": types.protobuf, "content-encoding": coding };
    expect((await server.send("/v1/traces", headers, body)).status).toBe(413);
  }
  expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(limit * 2 + (32 << 20));
  expect(server.budget.used).toBe(0);
});

test("P16: several members are one body; gzip of gzip, a lying header and a cut are refused over the network", async () => {
  const server = await serve();
  const send = async (body: Uint8Array): Promise<number> =>
    (await server.send("/v1/traces", { "content-type": types.json, "content-encoding": "gzip" }, body))
      .status;
  const packed = gzipSync(jsonBody);
  expect(
    await send(Buffer.concat([gzipSync(jsonBody.subarray(0, 50)), gzipSync(jsonBody.subarray(50))])),
  ).toBe(200);
  expect(await send(Buffer.concat([packed, Buffer.alloc(64)]))).toBe(200);
  expect(await send(gzipSync(packed))).toBe(400);
  expect(await send(jsonBody)).toBe(400);
  expect(await send(packed.subarray(0, -9))).toBe(400);
});

test("P16: in files gzip of gzip is unpacked, a bomb is read in constant memory, and a cut costs the rest only", async () => {
  const names = async (content: Uint8Array): Promise<number> =>
    (await collect([streamOf(content)])).summary.spans.accepted;
  expect(await names(gzipSync(gzipSync(jsonBody)))).toBe(2);
  expect(
    await names(Buffer.concat([gzipSync(jsonBody), gzipSync(Buffer.alloc(100_000_000), { level: 1 })])),
  ).toBe(2);
});

test("P38: of a batch of a thousand spans with 137 bad ones, 137 are rejected", async () => {
  const changes = Array.from({ length: 1_000 }, (_, i) => ({
    spanId: i < 137 ? "bad" : (i + 1).toString(16).padStart(16, "0"),
  }));
  const { accepted, rejected, replies, report } = await bothWays([json(request(changes))]);
  expect([accepted, rejected, report().trace.span_count]).toEqual([863, 137, 863]);
  expect(JSON.parse(replies[0]!.body.toString())).toMatchObject({ partialSuccess: { rejectedSpans: "137" } });
});

test("P39: a body that is not what its headers say is refused with what it looks like", async () => {
  const server = await serve();
  const answer = async (type: string, body: Uint8Array): Promise<string> => {
    const { status, body: said } = await server.send("/v1/traces", { "content-type": type }, body);
    return `${status} ${said.toString()}`;
  };
  expect(await answer(types.protobuf, jsonBody)).toMatch(/^400 .*looks like json/s);
  expect(await answer(types.json, oneSpan)).toMatch(/^400 .*looks like protobuf/s);
  expect(await answer(types.json, gzipSync(jsonBody))).toMatch(/^400 .*looks like gzip/s);
  expect(await answer(types.protobuf, gzipSync(protobufBody))).toMatch(/^400 .*looks like gzip/s);
  const headers = { "content-type": types.json, "content-encoding": "gzip" };
  const { status, body } = await server.send("/v1/traces", headers, jsonBody);
  expect(`${status} ${body.toString()}`).toMatch(/^400 .*decompressed.*looks like json/s);
});

test("P41: metrics that are no numbers, reset, or change their kind disturb no trace", async () => {
  const time = (i: number): object => ({
    startTimeUnixNano: "1704067200000000000",
    timeUnixNano: String(1_704_067_200_000_000_000n + BigInt(i) * 1_000_000_000n),
  });
  const resource = { attributes: [attribute("service.name", "web"), attribute("service.instance.id", "1")] };
  const cpu = ["NaN", "Infinity", "-Infinity", 0.5].map((asDouble, i) => ({ ...time(i), asDouble }));
  const counts = [5, 9, 2, 4].map((value, i) => ({ ...time(i), asInt: String(value) }));
  const series = Array.from({ length: metricSeriesMax + 500 }, (_, i) => ({
    ...time(9),
    asDouble: 0.1,
    attributes: [attribute("cpu", i)],
  }));
  const exponential = [-10, 0, 20].map((scale, i) => ({
    ...time(i),
    count: "3",
    scale,
    zeroCount: "1",
    positive: { offset: i, bucketCounts: ["2"] },
  }));
  const metrics = [
    { name: "process.cpu.utilization", gauge: { dataPoints: cpu } },
    { name: "requests", sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: counts } },
    { name: "requests", sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints: counts } },
    { name: "bare", histogram: { aggregationTemporality: 2, dataPoints: [{ ...time(1), count: "4" }] } },
    { name: "exponential", exponentialHistogram: { aggregationTemporality: 2, dataPoints: exponential } },
    { name: "stale", gauge: { dataPoints: [{ ...time(1), flags: 1 }] } },
    { name: "system.cpu.utilization", gauge: { dataPoints: series } },
  ]; // biome-ignore format: one line a metric
  const { services, window } = await bothWays([
    ...spans("web GET / 0..9ms server"),
    json({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] }, "metrics"),
  ]);
  expect(services).toMatchObject([{ service: "web", requests: 1, metrics: { cpu_usage: 0.5 } }]);
  expect(
    window.problems.find(({ message }) => message.includes("too many series"))?.count,
  ).toBeGreaterThanOrEqual(500);
  expect(JSON.stringify(window)).not.toMatch(/NaN|Infinity/);
});

test("P41: a counter that starts anew counts on; one that is sent as growth counts the same; what is stale counts nothing", async () => {
  const start = 1_704_067_200;
  const resource = { attributes: [serviceName("web"), attribute("service.instance.id", "1")] };
  const nanos = (minutes: number): string => `${start + minutes * 60}000000000`;
  /** A reading every minute since `began`. */
  const points = (values: readonly number[], began = 0): object[] =>
    values.map((value, i) => ({
      startTimeUnixNano: nanos(began),
      timeUnixNano: nanos(began + i + 1),
      asInt: String(value),
    }));
  const growthWith = async (...sums: readonly (readonly [temporality: 1 | 2, points: object[]])[]) => {
    const metrics = sums.map(([aggregationTemporality, dataPoints]) => ({
      name: "db.deadlocks",
      sum: { aggregationTemporality, isMonotonic: true, dataPoints },
    }));
    const { services } = await bothWays([
      ...spans("web GET / 0..9ms server"),
      json({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] }, "metrics"),
    ]);
    return services[0]?.metrics["deadlock_count"] ?? null;
  };
  const before = points([0, 5, 9]);
  // the process starts again: with its new start, or with a lower value alone
  const again = points([2, 6], 3);
  const unsaid = again.map((point) => ({ ...point, startTimeUnixNano: nanos(0) }));
  for (const after of [again, unsaid]) {
    expect(await growthWith([2, [...before, ...after]])).toBe(9 + 6);
    expect(await growthWith([2, [...after, ...before]])).toBe(9 + 6);
  }
  // higher than before, and still from zero
  expect(await growthWith([2, [...before, ...points([20], 3)]])).toBe(9 + 20);
  expect(await growthWith([1, points([0, 5, 4, 6])])).toBe(15);
  const stale = { ...again[1], asInt: "0", flags: 1 };
  expect(await growthWith([2, [...before, again[0] as object, stale]])).toBe(9 + 2);
  expect(await growthWith([2, before], [1, points([4, 4], 3)])).toBe(9 + 8);
});

function delimited(...requests: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    requests.flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}
