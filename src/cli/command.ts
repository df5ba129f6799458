import { writeFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import type { EffectiveSettings } from "../config/load-settings.ts";
import type { OutputFormat, SettingValues } from "../config/settings.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { Problem } from "../model/problems.ts";
import { formatTime, NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import type { Progress } from "./progress.ts";

type TextStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** What a command needs of the process that it runs in. */
export interface Host {
  readonly stdin: Readable;
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One run of a command. */
export interface CommandRun {
  readonly host: Host;
  readonly settings: SettingValues;
  readonly origins: EffectiveSettings["origins"];
  readonly operands: readonly string[];
  /** the effective one: as given, else by the ending of the output's name, else human on a terminal and json elsewhere */
  readonly format: OutputFormat;
  /** how notes are written: lines for people, or JSON lines where a server is asked for them; absent = for people */
  readonly noteFormat?: NoteFormat;
  /** who is told how far a piece of work has come; absent = a bar on standard error */
  readonly progress?: (verb: string) => Progress;
}

type NoteFormat = SettingValues["log_format"];

/** Does the work of a command and answers with the exit code. */
export type RunCommand = (run: CommandRun) => Promise<number>;

/** Writes a result to `--output` or standard output and resolves when it is out; a line break is added at the end if missing. */
export async function writeResult(run: CommandRun, text: string): Promise<void> {
  await writeParts(run, [text.endsWith("\n") ? text : `${text}\n`]);
}

/** The same for a result that comes in parts, each written as soon as it is there. */
export async function writeParts(
  { host, settings }: CommandRun,
  parts: Iterable<string> | AsyncIterable<string>,
): Promise<void> {
  if (settings.output === null || settings.output === "-") {
    for await (const part of parts) await write(host.stdout, part);
    return;
  }
  try {
    await writeFile(settings.output, parts);
  } catch (cause) {
    if (cause instanceof OperationError || !isFileError(cause)) throw cause;
    throw new OperationError(
      "output_unwritable",
      `Cannot write ${settings.output}: ${cause.message}`,
      "Choose another file with --output.",
      cause,
    );
  }
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "path" in error;
}

/** Resolves when the stream has taken the piece, so that slow readers slow us down instead of filling memory. */
export async function write(stream: Writable, piece: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}

/** What a note is besides its text, for JSON lines. */
interface NoteDetails {
  /** absent = info */
  readonly level?: "info" | "warn" | "error";
  readonly fields?: Readonly<Record<string, string | number>>;
}

/** Says something on standard error; `--quiet` keeps it back unless it is an error. */
export function note(
  { host, settings, noteFormat }: CommandRun,
  text: string,
  { level = "info", fields = {} }: NoteDetails = {},
): void {
  if (settings.quiet && level !== "error") return;
  host.stderr.write(`${noteFormat === "json" ? noteJson(text, { level, fields }) : text}\n`);
}

/** A note as one line of JSON. */
function noteJson(text: string, { level, fields }: Required<NoteDetails>): string {
  const time = formatTime((BigInt(Date.now()) * BigInt(NANOS_PER_MS)) as UnixNanos);
  return JSON.stringify({ time, level, message: text.trim(), ...fields });
}

/** Says what was wrong with the input, and where. */
export function noteProblem(run: CommandRun, { message, count, source }: Problem): void {
  const place = source === undefined ? "" : `${source}: `;
  note(run, `${place}${message}${count > 1 ? ` (${count} times)` : ""}`);
}

/** Whether the human output may use colours: where it goes to a terminal that has some and nobody said no. */
export function usesColor({ host: { stdout, env }, settings }: CommandRun): boolean {
  if (settings.output !== null || stdout.isTTY !== true) return false;
  return !settings.no_color && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}
