import type { Signal } from "../../src/engine/ports.ts";
import { oracleEncode } from "./protobuf-oracle.ts";

/** An export request of one good and two bad records, in both encodings, and how its answer is to count them. */
export interface HalfBadRequest {
  readonly signal: Signal;
  readonly json: Buffer;
  readonly protobuf: Buffer;
  /** the type of the answer */
  readonly response: string;
  readonly rejectedKey: string;
  /** what the message names */
  readonly reason: string;
}

const hexId = (length: number): string => "1".repeat(length);
const bytesId = (length: number): Uint8Array => new Uint8Array(length).fill(17);
const damaged = "damaged";

export const halfBadRequests: readonly HalfBadRequest[] = [
  {
    signal: "traces",
    json: jsonOf({
      resourceSpans: [
        {
          scopeSpans: [
            {
              spans: [
                { traceId: "00", spanId: hexId(16) },
                { traceId: hexId(32), spanId: "not hex" },
                { traceId: hexId(32), spanId: hexId(16) },
              ],
            },
          ],
        },
      ],
    }),
    protobuf: Buffer.from(
      oracleEncode("traces", {
        resourceSpans: [
          {
            scopeSpans: [
              {
                spans: [
                  { traceId: bytesId(3), spanId: bytesId(8) },
                  { traceId: bytesId(16), spanId: new Uint8Array(8) },
                  { traceId: bytesId(16), spanId: bytesId(8) },
                ],
              },
            ],
          },
        ],
      }),
    ),
    response: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse",
    rejectedKey: "rejectedSpans",
    reason: "invalid_trace_id",
  },
  {
    signal: "metrics",
    json: jsonOf({
      resourceMetrics: [
        {
          scopeMetrics: [
            { metrics: [{ name: "m", gauge: { dataPoints: [5, { asInt: "x" }, { asInt: "1" }] } }] },
          ],
        },
      ],
    }),
    protobuf: withDamage(
      oracleEncode("metrics", {
        resourceMetrics: [
          {
            scopeMetrics: [
              { metrics: [{ name: "m", gauge: { dataPoints: [point(), point(), { asInt: "1" }] } }] },
            ],
          },
        ],
      }),
    ),
    response: "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse",
    rejectedKey: "rejectedDataPoints",
    reason: "malformed_data_point",
  },
  {
    signal: "logs",
    json: jsonOf({
      resourceLogs: [{ scopeLogs: [{ logRecords: ["x", { body: 5 }, { body: { stringValue: "fine" } }] }] }],
    }),
    protobuf: withDamage(
      oracleEncode("logs", {
        resourceLogs: [
          {
            scopeLogs: [
              {
                logRecords: [damaged, damaged, "fine"].map((text) => ({ body: { stringValue: text } })),
              },
            ],
          },
        ],
      }),
    ),
    response: "opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse",
    rejectedKey: "rejectedLogRecords",
    reason: "malformed_log_record",
  },
];

function point(): object {
  return { asInt: "1", attributes: [{ key: damaged, value: { boolValue: true } }] };
}

/** Every length in front of the word says more than there is. */
function withDamage(request: Uint8Array): Buffer {
  const body = Buffer.from(request);
  for (let at = body.indexOf(damaged); at >= 0; at = body.indexOf(damaged, at + 1)) body[at - 1] = 0x7f;
  return body;
}

function jsonOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
