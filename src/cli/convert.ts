import { formatCount } from "../advice/format-duration.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { byteSources } from "../formats/byte-source.ts";
import { type ConvertSummary, convertTelemetry, type WrittenFormat } from "../formats/write-telemetry.ts";
import { writeJson } from "../wire/write-json.ts";
import { type CommandRun, note, noteProblem, write, writeResult } from "./command.ts";
import { isSameFile, type OutputFile, openOutput } from "./output-file.ts";
import { showProgress } from "./progress.ts";

const formatNames: Readonly<Record<WrittenFormat, string>> = {
  "otlp-jsonl": "OTLP JSON lines",
  "otlp-proto": "OTLP protobuf",
  jaeger: "Jaeger JSON",
  zipkin: "Zipkin JSON",
};

/** `hypocenter convert`: reads saved telemetry and writes it in another format. */
export async function convert(run: CommandRun): Promise<number> {
  const { convert_to: format } = run.settings;
  if (format === null)
    throw new OperationError(
      "usage",
      "convert needs --to FORMAT",
      `It is one of ${Object.keys(formatNames).join(", ")}.`,
    );
  const output = run.operands.at(-1) ?? "-";
  const sources = await byteSources(run.operands.slice(0, -1));
  if (output !== "-")
    for (const { name } of sources)
      if (await isSameFile(name, output))
        throw new OperationError(
          "usage",
          `${output} is an input and would be overwritten`,
          "The last operand names the file to write: hypocenter convert IN… --to FORMAT OUT",
        );
  const file = output === "-" ? standardOutput(run) : await openOutput(output);
  const reading = showProgress(run, "reading");
  const writing = showProgress(run, "writing");
  let summary: ConvertSummary;
  try {
    summary = await convertTelemetry(sources, (part) => file.write(part), {
      format,
      signals: run.settings.signals,
      memoryBudgetBytes: run.settings.memory_budget,
      onReadProgress: ({ bytesRead, bytesTotal, spans }) =>
        reading.update({ done: bytesRead, total: bytesTotal, spans }),
      onWriteProgress({ written, total }) {
        reading.end();
        writing.update({ done: written, total, spans: written });
      },
      onProblem: (problem) => noteProblem(run, problem),
    });
    await file.finish();
  } catch (error) {
    await file.discard();
    throw error;
  } finally {
    reading.end();
    writing.end();
  }
  await sayResult(run, summary, { format, output });
  return 0;
}

function standardOutput({ host }: CommandRun): OutputFile {
  const nothing = async (): Promise<void> => {};
  return { write: (part) => write(host.stdout, part), finish: nothing, discard: nothing };
}

/** What was written goes to standard output, unless the telemetry itself went there. */
async function sayResult(
  run: CommandRun,
  summary: ConvertSummary,
  written: { readonly format: WrittenFormat; readonly output: string },
): Promise<void> {
  const { format, output } = written;
  const text = summaryText(
    summary,
    `${output === "-" ? "standard output" : output} (${formatNames[format]})`,
  );
  if (output === "-") note(run, text);
  else await writeResult(run, run.format === "json" ? writeJson(summaryJson(summary, written)) : text);
}

function summaryJson(
  { spans, traces, hasMoreTraces, points, logs, leftOut, read }: ConvertSummary,
  { format, output }: { readonly format: WrittenFormat; readonly output: string },
) {
  return {
    output,
    to: format,
    spans,
    traces,
    has_more_traces: hasMoreTraces,
    metric_points: points,
    log_records: logs,
    left_out: { metric_points: leftOut.points, log_records: leftOut.logs },
    rejected_spans: read.spans.rejected,
    malformed_records: read.malformedRecords,
  };
}

function summaryText(summary: ConvertSummary, place: string): string {
  const { spans, traces, hasMoreTraces, points, logs, leftOut, read } = summary;
  const tracesText = `${hasMoreTraces ? "at least " : ""}${counted(traces, "trace")}`;
  const others = nonzero([points, "metric point"], [logs, "log record"]);
  const homeless = nonzero([leftOut.points, "metric point"], [leftOut.logs, "log record"]);
  const unread = nonzero([read.spans.rejected, "span"], [read.malformedRecords, "record"]);
  return [
    `Wrote ${[`${counted(spans, "span")} of ${tracesText}`, ...others].join(", ")} to ${place}.`,
    ...(homeless.length === 0 ? [] : [`Left out, which the format does not hold: ${homeless.join(", ")}.`]),
    ...(unread.length === 0 ? [] : [`Left out, because they could not be read: ${unread.join(", ")}.`]),
  ].join("\n");
}

function nonzero(...counts: readonly (readonly [count: number, what: string])[]): readonly string[] {
  return counts.filter(([count]) => count > 0).map(([count, what]) => counted(count, what));
}

function counted(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? "" : "s"}`;
}
