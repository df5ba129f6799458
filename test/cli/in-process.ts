import { PassThrough, Readable } from "node:stream";
import { main } from "../../src/cli/main.ts";

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** whether output and messages go to a terminal */
  readonly isTerminal?: boolean;
}

/** Runs a command line inside this process, as if typed with nothing else in the environment. */
export async function runInProcess(
  line: string | readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const words = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
  const stdout = captured(options.isTerminal ?? false);
  const stderr = captured(options.isTerminal ?? false);
  const exitCode = await main(words, {
    stdin: Readable.from([Buffer.from(options.stdin ?? "")]),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: options.env ?? {},
  });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function captured(isTTY: boolean) {
  const chunks: Buffer[] = [];
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
