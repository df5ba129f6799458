import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Encoding } from "../../src/engine/ports.ts";
import type { MetricPoint } from "../../src/model/telemetry.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { type Live, live } from "../engine/live.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { metricsToJson } from "../otlp/request-json.ts";
import { runs } from "../runs.ts";
import { type Answers, answersOfFiles, idOf } from "./answers.ts";
import { batchesOf, deliveries, filesOf, plainFile } from "./delivery.ts";
import { telemetry } from "./telemetry-generator.ts";

test("any order, batching, repetition, encoding, number of files and memory budget give the same answers", async () => {
  await fc.assert(
    fc.asyncProperty(telemetry(), deliveries, async (told, delivery) => {
      const expected = await answersOfFiles(plainFile(told));
      expect(await answersOfFiles(filesOf(told, delivery), delivery.reading)).toEqual(expected);
    }),
    { numRuns: runs(10) },
  );
});

/** How requests come to a server: what they are written in, how long until the next one, and what is asked meanwhile. */
const arrivals = fc.array(
  fc.record({
    encoding: fc.constantFrom<Encoding>("protobuf", "json"),
    waitMs: fc.constantFrom(0, 10, 2_500),
    isAsked: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

test("a server answers as if all had been in one file, also when spans come late and questions come early", async () => {
  await fc.assert(
    fc.asyncProperty(telemetry(), deliveries, arrivals, async (told, delivery, shapes) => {
      const { services, graph, traces } = await answersOfFiles(plainFile(told));
      const server = live();
      const batches = [
        ...batchesOf(rowsOf(tableOf(told.text)), delivery).map((rows) => ({ rows })),
        ...batchesOf(told.metrics, delivery).map((points) => ({ points })),
      ];
      for (const [i, batch] of batches.entries()) {
        const { encoding, waitMs, isAsked } = shapes[i % shapes.length]!;
        if ("rows" in batch) await server.sendRows(batch.rows, encoding);
        else await sendMetrics(server, batch.points, encoding);
        await server.wait(waitMs);
        if (isAsked) await server.engine.analyzeTrace(idOf(1), { language: "en", scoring: "evidence" });
      }
      await server.wait(60_000);
      expect(await answersOfServer(server, [...traces.keys()])).toEqual({ services, graph, traces });
      expect(server.faults).toEqual([]);
    }),
    { numRuns: runs(10) },
  );
});

async function answersOfServer(
  { engine }: Live,
  ids: readonly ReturnType<typeof idOf>[],
): Promise<Omit<Answers, "window">> {
  const traces = new Map<ReturnType<typeof idOf>, string>();
  for (const id of ids) {
    const analysis = await engine.analyzeTrace(id, { language: "en", scoring: "evidence" });
    traces.set(id, writeJson(analysis?.report, { pretty: true }));
  }
  return {
    services: writeJson((await engine.services(null)).services, { pretty: true }),
    graph: writeJson(await engine.graph(null), { pretty: true }),
    traces,
  };
}

async function sendMetrics(
  { engine }: Live,
  points: readonly MetricPoint[],
  encoding: Encoding,
): Promise<void> {
  const body = encoding === "json" ? Buffer.from(metricsToJson(points)) : encodeMetrics(points);
  const { decoded } = decodeBody("metrics", encoding, body);
  await engine.ingest({ signal: "metrics", encoding, body }, decoded);
}
