import * as fc from "fast-check";
import { expect, test } from "vitest";
import { analyzeTrace } from "../../src/analysis/analyze-trace.ts";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import { servicesJson } from "../../src/analysis/services-json.ts";
import type { Encoding } from "../../src/engine/ports.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { idOf, live } from "./live.ts";

const shop = tableOf(`
  web        GET /cart        0..90ms    server error host=n1 trace=1
    web      GET              5..85ms    client error server.address=cart
      cart   GET /items      10..80ms    server error host=n2 http.response.status_code=500
        cart SELECT          20..70ms    client error db.system.name=postgresql db.namespace=orders server.address=pg
    web      GET              5..40ms    client server.address=ads.example
  web        GET /pay       100..400ms   server host=n1 trace=2
    pay      POST /pay      120..390ms   server namespace=bank instance=p1
      pay    send orders    200..210ms   producer id=60 messaging.system=kafka messaging.destination.name=orders
  mail       process orders  70..75s     consumer trace=3 link=2/60 messaging.system=kafka messaging.destination.name=orders
    pay      GET /receipt    71..74s     server namespace=shop
    lost     GET /gone       72..73s     server parent=999
  web        GET /cart        1..61s     server trace=4
    cart     GET /items       2..60s     server`);

/** One request: which spans it has, how it is encoded, how long it is until the next, and whether somebody asks meanwhile. */
interface Request {
  readonly rows: readonly RowRef[];
  readonly encoding: Encoding;
  readonly waitMs: number;
  readonly isAsked: boolean;
}

const requests = fc
  .tuple(
    fc.shuffledSubarray(rowsOf(shop), { minLength: shop.rowCount, maxLength: shop.rowCount }),
    fc.array(fc.nat(shop.rowCount - 1), { maxLength: 6 }),
    fc.array(
      fc.record({
        size: fc.integer({ min: 1, max: 6 }),
        encoding: fc.constantFrom<Encoding>("protobuf", "json"),
        waitMs: fc.constantFrom(0, 10, 2_500),
        isAsked: fc.boolean(),
      }),
      { minLength: 20, maxLength: 20 },
    ),
  )
  .map(([shuffled, repeated, shapes]): readonly Request[] => {
    const all = [...shuffled, ...repeated.map((row) => ({ table: shop, row }))];
    return shapes
      .map(({ size, ...shape }) => ({ ...shape, rows: all.splice(0, size) }))
      .concat({
        rows: all,
        encoding: "protobuf",
        waitMs: 0,
        isAsked: false,
      });
  });

test("any order, batching, repetition and encoding of the same spans give what all of them at once give", async () => {
  const expected = answersAtOnce(shop);
  await fc.assert(
    fc.asyncProperty(requests, async (sent) => {
      expect(await answersLive(sent)).toEqual(expected);
    }),
    { numRuns: runs(38) },
  );
});

async function answersLive(sent: readonly Request[]): Promise<readonly string[]> {
  const server = live();
  const { engine, faults } = server;
  for (const { rows, encoding, waitMs, isAsked } of sent) {
    if (rows.length > 0) await server.sendRows(rows, encoding);
    await server.wait(waitMs);
    if (isAsked) await engine.analyzeTrace(idOf(1), { language: "en", scoring: "evidence" });
  }
  await server.wait(60_000);
  const answers = [writeJson((await engine.services(null)).services), writeJson(await engine.graph(null))];
  for (const trace of [1, 2, 3, 4]) {
    const analysis = await engine.analyzeTrace(idOf(trace), { language: "en", scoring: "evidence" });
    answers.push(writeJson(analysis!.report));
  }
  expect(faults).toEqual([]);
  return answers;
}

/** As a file is analysed: everything is seen before anything is asked. */
function answersAtOnce(table: SpanTable): readonly string[] {
  const rollup = new ScopeRollup();
  rollup.observe(table);
  const groups = groupByTrace([table]);
  for (let i = 0; i < groups.count; i += 1) rollup.addTrace(assembleTrace(groups.rowsOf(i), rawNaming));
  const scope = rollup.scope(null);
  const answers = [writeJson(servicesJson(scope, "en")), writeJson(graphJson(scope))];
  const minuteNanos = 60_000_000_000n;
  for (let i = 0; i < groups.count; i += 1) {
    const trace = assembleTrace(groups.rowsOf(i), rollup.directory);
    const end = BigInt(Math.max(...trace.spans.map((span) => span.end)));
    const around = rollup.scope({
      from: (trace.startTime - 5n * minuteNanos) as UnixNanos,
      to: (trace.startTime + end + 5n * minuteNanos) as UnixNanos,
    });
    answers.push(writeJson(analyzeTrace(trace, around, { language: "en" })));
  }
  return answers;
}
