import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { gunzipSync } from "node:zlib";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { type ReplayOptions, replayTelemetry } from "../../src/formats/replay.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { decodeLogs } from "../../src/otlp/protobuf-logs.ts";
import { decodeMetrics } from "../../src/otlp/protobuf-metrics.ts";
import { decodeTraces } from "../../src/otlp/protobuf-traces.ts";
import { exportResponse, retryInfoStatus, statusBody } from "../../src/otlp/responses.ts";
import { recorded } from "../data-folder.ts";
import { freePort } from "../free-port.ts";
import { collect, line, namesOf, rowsOf, streamOf } from "./sources.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** A receiver that keeps what it gets and answers as told; with nothing more to say it accepts. */
async function receiver(...answers: readonly Answer[]): Promise<{
  readonly url: string;
  readonly requests: {
    readonly path: string;
    readonly body: Buffer;
    readonly headers: IncomingMessage["headers"];
  }[];
  readonly tables: () => readonly SpanTable[];
}> {
  const waiting = [...answers];
  const requests: { path: string; body: Buffer; headers: IncomingMessage["headers"] }[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const answer = waiting.shift() ?? { status: 200 };
      if (answer.status === 200)
        requests.push({
          path: request.url!,
          body: gunzipSync(Buffer.concat(parts)),
          headers: request.headers,
        });
      response.writeHead(answer.status, { "content-type": "application/x-protobuf", ...answer.headers });
      response.end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    tables: () =>
      requests
        .filter(({ path }) => path === "/v1/traces")
        .map(({ body }) => {
          const table = new SpanTable();
          decodeTraces(body, table);
          return table;
        }),
  };
}

const quick: ReplayOptions = { speed: Number.POSITIVE_INFINITY, times: "original" };
const atOnce = { "retry-after": "0" };

test("every span arrives as it is", async () => {
  const { url, tables, requests } = await receiver();
  const content = line("a", "b") + line("c");
  const summary = await replayTelemetry([streamOf(content)], url, { ...quick, headers: { "x-key": "1" } });
  expect(rowsOf(tables())).toEqual(rowsOf((await collect([streamOf(content)])).tables));
  expect(summary).toMatchObject({ requests: 1, retries: 0, spans: { accepted: 3, rejected: 0 } });
  expect(requests[0]!.headers).toMatchObject({ "content-encoding": "gzip", "x-key": "1" });
});

test("the address may have a path, and may be the one of a signal", async () => {
  const { url, requests } = await receiver();
  await replayTelemetry([streamOf(line("a"))], `${url}/base/`, quick);
  await replayTelemetry([streamOf(line("a"))], `${url}/v1/traces`, quick);
  await replayTelemetry([streamOf(line("a"))], url.slice("http://".length), quick);
  expect(requests.map(({ path }) => path)).toEqual(["/base/v1/traces", "/v1/traces", "/v1/traces"]);
});

test("large inputs are sent in requests of a limited size", async () => {
  const { url, requests, tables } = await receiver();
  await replayTelemetry([streamOf(line(...Array.from({ length: 2500 }, (_, at) => `n${at}`)))], url, quick);
  expect(requests).toHaveLength(3);
  expect(new Set(namesOf(tables())).size).toBe(2500);
});

test("a busy receiver is asked again, when it says", async () => {
  const { url, tables } = await receiver(
    { status: 503, headers: atOnce },
    { status: 429, headers: { "retry-after": new Date(0).toUTCString() } },
    { status: 502, headers: atOnce },
    { status: 504, headers: atOnce },
  );
  const summary = await replayTelemetry([streamOf(line("a"))], url, quick);
  expect(namesOf(tables())).toEqual(["a"]);
  expect(summary).toMatchObject({ requests: 5, retries: 4, spans: { accepted: 1, rejected: 0 } });
});

test("what a receiver takes in part is counted, with what it says", async () => {
  const protobuf = exportResponse("traces", "protobuf", 2, "two were too old");
  const json = JSON.stringify({ partialSuccess: { rejectedSpans: "1", errorMessage: "one was too new" } });
  const { url } = await receiver(
    { status: 200, body: protobuf },
    { status: 200, body: json, headers: { "content-type": "application/json" } },
  );
  const first = await replayTelemetry([streamOf(line("a", "b", "c"))], url, quick);
  expect(first.spans).toEqual({ accepted: 1, rejected: 2 });
  expect([...first.refusals]).toEqual([["two were too old", 2]]);
  const second = await replayTelemetry([streamOf(line("a", "b", "c"))], url, quick);
  expect(second.spans).toEqual({ accepted: 2, rejected: 1 });
  expect([...second.refusals]).toEqual([["one was too new", 1]]);
});

test("what a receiver refuses for good is counted, and the rest still sent", async () => {
  const { url } = await receiver({ status: 400, body: statusBody("protobuf", 3, "this is bad") });
  const many = Array.from({ length: 1500 }, (_, at) => `n${at}`);
  const summary = await replayTelemetry([streamOf(line(...many))], url, quick);
  // requests of 1,000 and 500 spans are under way at once: either may come first
  const { accepted, rejected } = summary.spans;
  expect([accepted, rejected].sort((a, b) => a - b)).toEqual([500, 1000]);
  expect([...summary.refusals]).toEqual([["HTTP 400: this is bad", rejected]]);
});

test("a receiver that takes nothing is an error", async () => {
  const { url } = await receiver({ status: 404 });
  await expect(replayTelemetry([streamOf(line("a"))], url, quick)).rejects.toMatchObject({
    code: "server_unreachable",
    message: expect.stringContaining("HTTP 404"),
  });
});

test.each(["http", "grpc"])("nobody at a %s address is an error at once", async (scheme) => {
  await expect(
    replayTelemetry([streamOf(line("a"))], `${scheme}://127.0.0.1:${await freePort()}`, quick),
  ).rejects.toMatchObject({
    code: "server_unreachable",
    message: expect.stringContaining("nobody answers at"),
  });
});

test.each(["ftp://host", "foo", "localhost", "foo/v1/traces", "host:port", ":4318", "grpc://"])(
  "%s is no address: an error of use",
  async (target) => {
    await expect(replayTelemetry([streamOf(line("a"))], target, quick)).rejects.toMatchObject({
      code: "usage",
    });
  },
);

test("a port that speaks something else than HTTP is named so", async () => {
  const server = createTcpServer((socket) => socket.end("\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  await expect(
    replayTelemetry([streamOf(line("a"))], `http://127.0.0.1:${port}`, quick),
  ).rejects.toMatchObject({
    code: "server_unreachable",
    message: expect.stringContaining("does not speak HTTP"),
    hint: expect.stringContaining("grpc://"),
  });
});

describe("several files at a speed", () => {
  const base = 1_700_000_000_000_000_000n;
  const at = (ms: number): string => String(base + BigInt(ms) * 1_000_000n);
  const span = (name: string, ms: number): string =>
    line(name)
      .replaceAll("1700000000000000000", at(ms - 50))
      .replaceAll("1700000000050000000", at(ms));
  const log = (ms: number): string =>
    `${JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: at(ms), body: { stringValue: `l${ms}` } }] }] }] })}\n`;
  const point = (ms: number): string =>
    `${JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ timeUnixNano: at(ms), asInt: "1" }] } }] }] }] })}\n`;

  test("are sent together in order of time, each at its time", async () => {
    const { url, requests } = await receiver();
    const inputs = [
      streamOf(log(0) + log(30_000), 1 << 16, "logs.jsonl"),
      streamOf(point(10_000) + point(40_000), 1 << 16, "metrics.jsonl"),
      streamOf(span("a", 20_000) + span("b", 50_000), 1 << 16, "traces.jsonl"),
    ];
    const started = performance.now();
    const summary = await replayTelemetry(inputs, url, { speed: 100, times: "original" });
    expect(performance.now() - started).toBeGreaterThanOrEqual(490);
    // Within a second of the replay's time one request holds what is of one signal.
    expect(requests).toHaveLength(3);
    expect(summary.read.files.map(({ name }) => name).sort()).toEqual([
      "logs.jsonl",
      "metrics.jsonl",
      "traces.jsonl",
    ]);
    const slow = await receiver();
    const slowly = [streamOf(log(0) + log(30_000)), streamOf(point(10_000)), streamOf(span("a", 20_000))];
    // At this speed ten seconds are more than a slice, so that each item is a request.
    await replayTelemetry(slowly, slow.url, { speed: 9, times: "original" });
    expect(slow.requests.map(({ path }) => path.slice("/v1/".length))).toEqual([
      "logs",
      "metrics",
      "traces",
      "logs",
    ]);
  }, 20_000);

  test("moved to now, what is sent carries the time at which it is sent", async () => {
    const { url, tables, requests } = await receiver();
    const before = Date.now();
    await replayTelemetry([streamOf(span("a", 1000) + span("b", 5000)), streamOf(log(3000))], url, {
      speed: 10,
      times: "now",
    });
    const after = Date.now();
    const [a, b] = tables().flatMap((table) =>
      Array.from({ length: table.rowCount }, (_, row) => new Span(table, row)),
    );
    expect(a!.name).toBe("a");
    expect(b!.endTime - a!.endTime).toBe(400_000_000n);
    expect(a!.endTime - a!.startTime).toBe(5_000_000n);
    expect(Math.abs(Number(b!.endTime / 1_000_000n) - after)).toBeLessThan(300);
    expect(Number(a!.endTime / 1_000_000n)).toBeGreaterThanOrEqual(before - 2);
    const [record] = decodeLogs(requests.find(({ path }) => path === "/v1/logs")!.body).records;
    expect(record!.time - a!.endTime).toBe(200_000_000n);
  });

  test("more than may be open at once come in order of time too, whatever their names are", async () => {
    const { url, requests } = await receiver();
    const count = 80;
    const inputs = Array.from({ length: count }, (_, n) => {
      const ms = ((n * 37) % count) * 1000;
      return streamOf(log(ms), 1 << 16, `f${n}.jsonl`);
    });
    await replayTelemetry(inputs, url, { speed: 100_000, times: "original" });
    const times = requests.flatMap(({ body }) => decodeLogs(body).records.map(({ time }) => time));
    expect(times).toHaveLength(count);
    expect(times).toEqual([...times].sort((x, y) => Number(x - y)));
  });

  test("a file longer than the look-ahead is read on while others wait", async () => {
    const { url, requests } = await receiver();
    const long = Array.from({ length: 40_000 }, (_, n) => log(n)).join("");
    const summary = await replayTelemetry([streamOf(long), streamOf(log(39_999_000))], url, {
      speed: 1e6,
      times: "original",
    });
    expect(summary.logs).toEqual({ accepted: 40_001, rejected: 0 });
    expect(requests.length).toBeGreaterThanOrEqual(41);
  });

  test("a receiver that is not there ends it, though files are left to read", async () => {
    const long = Array.from({ length: 40_000 }, (_, n) => log(n)).join("");
    await expect(
      replayTelemetry([streamOf(long)], `http://127.0.0.1:${await freePort()}`, { ...quick, speed: 1e6 }),
    ).rejects.toMatchObject({ code: "server_unreachable" });
  });

  test("a file that cannot be used is a problem where others can", async () => {
    const { url } = await receiver();
    const problems: string[] = [];
    const summary = await replayTelemetry([streamOf("nothing", 9, "bad"), streamOf(log(0))], url, {
      speed: 10,
      times: "original",
      onProblem: ({ kind }) => void problems.push(kind),
    });
    expect(summary.logs.accepted).toBe(1);
    expect(problems).toEqual(["unreadable_input"]);
    await expect(
      replayTelemetry([streamOf("nothing", 9, "bad")], url, { speed: 10, times: "original" }),
    ).rejects.toMatchObject({ code: "input_unreadable" });
  });
});

describe("times", () => {
  /** `a` runs from 0 to 50 ms, `b` and its event 200 ms later. */
  const content =
    line("a") +
    line("b")
      .replace("1700000000000000000", "1700000000200000000")
      .replace("1700000000050000000", "1700000000250000000");

  async function sent(
    options: ReplayOptions,
  ): Promise<{ spans: readonly Span[]; before: bigint; after: bigint }> {
    const { url, tables } = await receiver();
    const before = BigInt(Date.now()) * 1_000_000n;
    await replayTelemetry([streamOf(content)], url, options);
    const after = BigInt(Date.now()) * 1_000_000n;
    const spans = tables().flatMap((table) =>
      Array.from({ length: table.rowCount }, (_, row) => new Span(table, row)),
    );
    return { spans, before, after };
  }

  test("moved to now, the newest span ends now and all distances stay", async () => {
    const { spans, before, after } = await sent({ speed: Number.POSITIVE_INFINITY, times: "now" });
    expect(spans[1]!.endTime).toBeGreaterThanOrEqual(before);
    expect(spans[1]!.endTime).toBeLessThanOrEqual(after);
    expect(spans[1]!.startTime - spans[0]!.startTime).toBe(200_000_000n);
    expect(spans[0]!.endTime - spans[0]!.startTime).toBe(50_000_000n);
  });

  test("at speed 1 the first span ends now, and the next is sent when it is over", async () => {
    const { spans, before, after } = await sent({ speed: 1, times: "now" });
    expect(spans[0]!.endTime).toBeGreaterThanOrEqual(before - 1_000_000n);
    expect(spans[1]!.endTime).toBeLessThanOrEqual(after + 1_000_000n);
    expect(after - before).toBeGreaterThanOrEqual(195_000_000n);
  });

  test("standard input cannot be moved in advance", async () => {
    await expect(
      replayTelemetry(["-"], "http://127.0.0.1:1", { ...quick, times: "now" }),
    ).rejects.toMatchObject({
      code: "usage",
      hint: expect.stringContaining("--speed 1"),
    });
  });
});

test("over gRPC: refused while busy, taken in part, refused for good", async () => {
  const names: string[][] = [];
  const answers = ["busy", "unavailable", "partial"];
  const server = new Server();
  server.register(
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const answer = answers.shift();
      const metadata = new Metadata();
      metadata.set("grpc-status-details-bin", Buffer.from(retryInfoStatus(8, "busy", 0)));
      const details = "busy";
      if (answer === "busy") return done({ code: status.RESOURCE_EXHAUSTED, details, metadata });
      if (answer === "unavailable") return done({ code: status.UNAVAILABLE, details, metadata });
      const table = new SpanTable();
      decodeTraces(call.request, table);
      names.push([...namesOf([table])]);
      return done(null, Buffer.from(exportResponse("traces", "protobuf", 1, "one was bad")));
    },
    (response: Buffer) => response,
    (request: Buffer) => request,
    "unary",
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  ends.push(() => server.forceShutdown());
  const summary = await replayTelemetry([streamOf(line("a", "b"))], `grpc://127.0.0.1:${port}`, quick);
  expect(names).toEqual([["a", "b"]]);
  expect(summary).toMatchObject({ retries: 2, spans: { accepted: 1, rejected: 1 } });
  expect([...summary.refusals]).toEqual([["one was bad", 1]]);
});

const capture = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
test.skipIf(capture.missing)(
  `a recorded capture arrives with all three signals ${capture.reason}`,
  async () => {
    const { url, tables, requests } = await receiver();
    const expected = await collect([capture.path]);
    const summary = await replayTelemetry([capture.path], url, quick);
    expect(rowsOf(tables())).toEqual(rowsOf(expected.tables));
    const of = (path: string): readonly Buffer[] =>
      requests.filter((request) => request.path === path).map(({ body }) => body);
    expect(of("/v1/metrics").flatMap((body) => decodeMetrics(body).points)).toHaveLength(
      expected.points.length,
    );
    expect(of("/v1/logs").flatMap((body) => decodeLogs(body).records)).toHaveLength(expected.logs.length);
    expect(summary.points.accepted).toBe(expected.points.length);
  },
);
