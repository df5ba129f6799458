import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const executable = "dist/hypocenter.js";

export interface ProcessOutcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built executable with nothing of ours in its environment. */
export async function runCommand(
  words: readonly string[],
  options: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<ProcessOutcome> {
  const child = spawn(process.execPath, [executable, ...words], { env: environment(options.env) });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (texts.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (texts.stderr += chunk.toString()));
  child.stdin.end(options.stdin ?? "");
  await once(child, "close");
  return { exitCode: child.exitCode, ...texts };
}

export interface RunningServer {
  /** `host:port` */
  readonly grpc: string;
  readonly http: string;
  readonly api: string;
  readonly process: ChildProcess;
  /** from the start of the process until it said that it is ready */
  readonly readyMs: number;
  /** what it has said on standard error so far */
  stderr(): string;
  /** Asks it to end; resolves with exit code and how long that took. */
  stop(signal?: NodeJS.Signals): Promise<{ readonly exitCode: number | null; readonly tookMs: number }>;
}

/** A server process on free ports; it keeps nothing on a disk unless it is told where. */
export async function startServer(
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const startedAt = performance.now();
  const ports = ["--grpc-port", "0", "--http-port", "0", "--port", "0", "--format", "json"];
  const place = words.includes("--data") ? [] : ["--memory"];
  const child = spawn(process.execPath, [executable, "serve", ...ports, ...place, ...words], {
    env: environment(env),
  });
  let stdout = "";
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.includes("\n")) resolve();
    });
    child.once("close", () => reject(new Error(`the server ended before it was ready: ${stderr}`)));
  });
  const readyMs = performance.now() - startedAt;
  const addresses = JSON.parse(stdout) as Pick<RunningServer, "grpc" | "http" | "api">;
  const closed = once(child, "close");
  return {
    ...addresses,
    process: child,
    readyMs,
    stderr: () => stderr,
    async stop(signal = "SIGTERM") {
      const askedAt = performance.now();
      child.kill(signal);
      await closed;
      return { exitCode: child.exitCode, tookMs: performance.now() - askedAt };
    },
  };
}

function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const others = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("HYPOCENTER_") && name !== "NO_COLOR",
  );
  return { ...Object.fromEntries(others), ...more };
}
