import type { Encoding } from "../../src/engine/ports.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { type DecodeResult, MalformedBodyError } from "../../src/model/telemetry.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeLogs } from "../../src/otlp/encode-logs.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { rowsOf, tableOf } from "../notation.ts";
import type { Target } from "./fuzzer.ts";

type Inputs = Pick<Target, "seeds" | "dictionary">;

/**
 * Bodies of spans: they are malformed, and the table is as before; or every span is a row or counted, can be written and
 * read again, and makes traces.
 */
export function tracesTarget(encoding: Encoding, inputs: Inputs): Target {
  const before = tableOf("web GET /cart 0..90ms server error");
  const mark = before.mark();
  const markText = JSON.stringify(mark);
  let runs = 0;
  return {
    name: `${encoding}-traces`,
    ...inputs,
    run(input) {
      const outcome = decodeOr(() => decodeBody("traces", encoding, input, before).result);
      if (outcome instanceof MalformedBodyError) {
        if (JSON.stringify(before.mark()) !== markText)
          throw new Error("a refused body has changed the table");
        return wayOfRefusal(outcome);
      }
      const added = before.rowCount - mark.rows;
      if (added !== outcome.accepted) throw new Error(`${outcome.accepted} spans accepted, ${added} rows`);
      before.restore(mark);
      checkCounts(outcome);
      runs += 1;
      if (runs % 16 === 0) checkRows(encoding, input);
      return wayOf(outcome);
    },
  };
}

function checkRows(encoding: Encoding, input: Uint8Array): void {
  const table = new SpanTable(8);
  const { result } = decodeBody("traces", encoding, input, table);
  const again = decodeBody("traces", "protobuf", encodeTraces(rowsOf(table))).result;
  if (again.accepted !== result.accepted)
    throw new Error(`${result.accepted} spans accepted, ${again.accepted} after they were written`);
  const groups = groupByTrace([table]);
  for (let i = 0; i < groups.count; i += 1) callsOf(assembleTrace(groups.rowsOf(i), rawNaming));
}

/** Bodies of metrics or logs: they are malformed, or what is accepted can be written and read again. */
export function recordsTarget(signal: "metrics" | "logs", encoding: Encoding, inputs: Inputs): Target {
  let runs = 0;
  return {
    name: `${encoding}-${signal}`,
    ...inputs,
    run(input) {
      const outcome = decodeOr(() => decodeBody(signal, encoding, input));
      if (outcome instanceof MalformedBodyError) return wayOfRefusal(outcome);
      const { decoded, result } = outcome;
      checkCounts(result);
      if (decoded.signal === "traces") throw new Error("spans came of other signals");
      const { length } = decoded.signal === "metrics" ? decoded.points : decoded.records;
      if (length !== result.accepted) throw new Error(`${result.accepted} accepted, ${length} decoded`);
      runs += 1;
      if (runs % 16 !== 0) return wayOf(result);
      const written =
        decoded.signal === "metrics" ? encodeMetrics(decoded.points) : encodeLogs(decoded.records);
      const again = decodeBody(signal, "protobuf", written).result;
      if (again.accepted !== length)
        throw new Error(`${length} decoded, ${again.accepted} after they were written`);
      return wayOf(result);
    },
  };
}

function decodeOr<T>(decode: () => T): T | MalformedBodyError {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedBodyError) return error;
    throw error;
  }
}

function checkCounts({ rejected, reasons }: DecodeResult): void {
  let sum = 0;
  for (const count of reasons.values()) sum += count;
  if (sum !== rejected) throw new Error(`${rejected} rejected, reasons for ${sum}`);
}

/** Messages without the numbers and names in them. */
function wayOfRefusal({ message, offset }: MalformedBodyError): string {
  return `${message.replace(/".*"|\d+/g, "")} ${Math.min(offset >> 4, 64)}`;
}

function wayOf({ accepted, rejected, reasons }: DecodeResult): string {
  return `${Math.min(accepted, 12)} ${Math.min(rejected, 12)} ${[...reasons.keys()].join()}`;
}
