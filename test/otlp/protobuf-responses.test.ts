import { describe, expect, test } from "vitest";
import { exportResponse, retryInfoStatus, statusBody } from "../../src/otlp/responses.ts";
import { oracleDecode } from "./protobuf-oracle.ts";

const traceResponse = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse";

function textOf(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

describe("export responses", () => {
  test("full success leaves partial_success unset", () => {
    expect(exportResponse("traces", "protobuf", 0, "")).toHaveLength(0);
    expect(textOf(exportResponse("traces", "json", 0, ""))).toBe("{}");
  });

  test("partial success carries the count and the reasons", () => {
    expect(oracleDecode(traceResponse, exportResponse("traces", "protobuf", 300, "why"))).toEqual({
      partialSuccess: { rejectedSpans: "300", errorMessage: "why" },
    });
    expect(textOf(exportResponse("traces", "json", 3, "why"))).toBe(
      '{"partialSuccess":{"rejectedSpans":"3","errorMessage":"why"}}',
    );
    expect(textOf(exportResponse("metrics", "json", 3, ""))).toContain('"rejectedDataPoints":"3"');
    expect(textOf(exportResponse("logs", "json", 3, ""))).toContain('"rejectedLogRecords":"3"');
  });

  test("a warning without rejected items is a message with a count of 0", () => {
    const { partialSuccess } = oracleDecode(traceResponse, exportResponse("traces", "protobuf", 0, "slow"));
    expect(partialSuccess).toEqual({ rejectedSpans: "0", errorMessage: "slow" });
  });

  test("stay small, whatever the message", () => {
    for (const encoding of ["protobuf", "json"] as const)
      expect(exportResponse("traces", encoding, 1, "é".repeat(5_000_000)).length).toBeLessThan(20_000);
  });
});

describe("error bodies", () => {
  const violation = { field: "body", description: "a length runs past its end" };

  test("are a google.rpc.Status in the encoding of the request", () => {
    const status = oracleDecode("google.rpc.Status", statusBody("protobuf", 3, "malformed", [violation]));
    expect(status).toMatchObject({ code: 3, message: "malformed" });
    const [detail] = status.details;
    expect(detail.type_url).toBe("type.googleapis.com/google.rpc.BadRequest");
    expect(oracleDecode("google.rpc.BadRequest", Uint8Array.from(detail.value))).toEqual({
      fieldViolations: [violation],
    });
    expect(JSON.parse(textOf(statusBody("json", 3, "malformed", [violation])))).toEqual({
      code: 3,
      message: "malformed",
      details: [{ "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: [violation] }],
    });
  });

  test("without details have none", () => {
    expect(textOf(statusBody("json", 13, "no"))).toBe('{"code":13,"message":"no"}');
    expect(oracleDecode("google.rpc.Status", statusBody("protobuf", 13, "no")).details).toEqual([]);
  });

  test("tell a gRPC sender when to come back", () => {
    const status = oracleDecode("google.rpc.Status", retryInfoStatus(14, "busy", 1.5));
    expect(status).toMatchObject({ code: 14, message: "busy" });
    const [detail] = status.details;
    expect(detail.type_url).toBe("type.googleapis.com/google.rpc.RetryInfo");
    expect(oracleDecode("google.rpc.RetryInfo", Uint8Array.from(detail.value))).toEqual({
      retryDelay: { seconds: "1", nanos: 500_000_000 },
    });
  });
});
