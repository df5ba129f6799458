import { analyzeTrace } from "../../src/analysis/analyze-trace.ts";
import { analyzeWindow, WindowRollup } from "../../src/analysis/analyze-window.ts";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { servicesJson } from "../../src/analysis/services-json.ts";
import type { EngineLimits } from "../../src/engine/limits.ts";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import { readTelemetry } from "../../src/formats/read-telemetry.ts";
import { TraceBuffer } from "../../src/formats/trace-buffer.ts";
import { parseTraceId, type TraceId } from "../../src/model/ids.ts";
import { traceSpansMax } from "../../src/model/limits.ts";
import { rawNaming, ServiceDirectory } from "../../src/model/service-directory.ts";
import { assembleEpisodes, episodeToShow } from "../../src/trace/episodes.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { writeJson } from "../../src/wire/write-json.ts";

/** Everything that can be asked about some telemetry, as it is printed. */
export interface Answers {
  readonly window: string;
  readonly services: string;
  readonly graph: string;
  /** reports by trace id, in the order of ids */
  readonly traces: ReadonlyMap<TraceId, string>;
}

export interface ReadingOptions {
  readonly budgetBytes?: number;
  readonly tableRows?: number;
  /** as settings of users would have it */
  readonly settings?: Partial<Pick<EngineLimits, "servicesMax" | "redacts" | "traceSpansMax">>;
}

/** What is answered when the telemetry comes in files. */
export async function answersOfFiles(
  sources: readonly ByteSource[],
  { budgetBytes, tableRows, settings = {} }: ReadingOptions = {},
): Promise<Answers> {
  const rollup = new WindowRollup({ directory: new ServiceDirectory(settings.servicesMax) });
  const { redacts = true, traceSpansMax: spansMax = traceSpansMax } = settings;
  const assembly = { redacts, spansMax };
  const buffer = new TraceBuffer(budgetBytes === undefined ? {} : { budgetBytes });
  const ids: TraceId[] = [];
  try {
    await readTelemetry(
      sources,
      {
        traces(table) {
          rollup.observe(table);
          return buffer.add(table);
        },
        metrics: (points) => rollup.addMetricPoints(points),
        logs() {},
        problem: (problem) => rollup.addProblems([problem]),
      },
      tableRows === undefined ? {} : { tableRows },
    );
    for await (const tables of buffer.partitions()) {
      const groups = groupByTrace(tables);
      for (let i = 0; i < groups.count; i += 1) {
        ids.push(groups.traceIdOf(i));
        for (const trace of assembleEpisodes(groups.rowsOf(i), rawNaming, assembly)) rollup.addTrace(trace);
      }
    }
    const sums = rollup.window();
    const { scope } = sums;
    const traces = new Map<TraceId, string>();
    for (const id of ids.sort()) {
      const episodes = assembleEpisodes(await buffer.readTrace(id), scope.directory, assembly);
      const trace = episodeToShow(episodes, null)!;
      traces.set(id, writeJson(analyzeTrace(trace, scope, { language: "en" }), { pretty: true }));
    }
    return {
      window: writeJson(analyzeWindow(sums, null, { language: "en" }), { pretty: true }),
      services: writeJson(servicesJson(scope, "en"), { pretty: true }),
      graph: writeJson(graphJson(scope), { pretty: true }),
      traces,
    };
  } finally {
    await buffer.dispose();
  }
}

/** The trace that the notation calls `trace=N`. */
export function idOf(trace: number): TraceId {
  return parseTraceId(trace.toString(16).padStart(32, "0")) as TraceId;
}
