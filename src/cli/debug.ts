import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { structuralReport } from "../advice/structural-texts.ts";
import { runStructuralEngine } from "../cascade/structural-engine.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { unreadable } from "../formats/byte-source.ts";
import { debugLine, parseTopology, type TopologyOptions } from "../wire/topology.ts";
import { writeJson } from "../wire/write-json.ts";
import { type CommandRun, writeParts, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { renderResult } from "./render-report.ts";

/**
 * `hypocenter debug`: the structural report of a topology. Standard input and files of JSON lines are answered line by line,
 * compact; a single topology is answered for a reader.
 */
export async function debug(run: CommandRun): Promise<number> {
  const { settings, operands } = run;
  const [path = "-"] = operands;
  const options: TopologyOptions =
    settings.failed_service === null ? {} : { failedService: settings.failed_service };
  if (path === "-") return await answerLines(run, linesOf(run.host.stdin), options);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  if (isJsonLines(path, text)) return await answerLines(run, linesOf([text]), options);
  const report = structuralReport(runStructuralEngine(parseTopology(text, options)), settings.lang);
  const isOneLine = run.format === "json" && !text.trim().includes("\n");
  await writeResult(run, isOneLine ? writeJson(report) : renderResult(run, { kind: "structural", report }));
  return exitCodeOf(report, settings.fail_on);
}

async function answerLines(
  run: CommandRun,
  batches: AsyncIterable<readonly string[]>,
  options: TopologyOptions,
): Promise<number> {
  const { format, fail_on: failOn, lang } = run.settings;
  const isForReaders = format !== null && format !== "json";
  if (isForReaders || failOn !== "none")
    throw new OperationError(
      "usage",
      `${isForReaders ? `--format ${format}` : "--fail-on"} is for a single topology`,
      "JSON lines and standard input are answered with one line of JSON each.",
    );
  const answers = async function* (): AsyncGenerator<string> {
    for await (const lines of batches)
      yield lines.map((line) => `${debugLine(line, { ...options, language: lang })}\n`).join("");
  };
  await writeParts(run, answers());
  return 0;
}

/** The lines of a stream as they come in, those of one chunk together; a line break at the very end begins no line. */
async function* linesOf(chunks: Readable | readonly string[]): AsyncGenerator<readonly string[]> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks as AsyncIterable<Uint8Array | string>) {
    rest += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines.map((line) => line.replace(/\r$/, ""));
  }
  rest += decoder.decode();
  if (rest !== "") yield [rest];
}

/** Several JSON texts, one a line, or a name that says so; a single topology over many lines is not. */
function isJsonLines(path: string, text: string): boolean {
  if (/\.(jsonl|ndjson)$/i.test(path)) return true;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return (
    lines.length > 1 && lines.some((line) => /^\s*\{.*\}\s*$/.test(line) && isJson(line)) && !isJson(text)
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
