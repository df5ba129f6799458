import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

/** What a process has used since it started. */
export interface Usage {
  /** user and system time of all its threads */
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

/** Of any process, as Linux counts it; throws elsewhere. */
export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // behind the name of the program, which may hold anything
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  const peak = /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return { cpuSeconds: (user + system) / ticksPerSecond, peakBytes: Number(peak?.[1]) * 1024 };
}

/** What a process holds now. */
export function residentBytesOf(pid: number): number {
  return Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) * 1024;
}

/** the same on all processors that Linux runs on today */
const ticksPerSecond = 100;

const executable = fileURLToPath(new URL("../dist/hypocenter.js", import.meta.url));

/**
 * Loaded into the measured process before its own code: it writes what was used to a pipe, at the end and whenever
 * asked by a signal. The peak is the kernel's own mark where there is one; what `resourceUsage` says may be the parent's.
 */
const meter = `
import { readFileSync, writeSync } from "node:fs";
function peakBytes() {
  const usage = process.resourceUsage();
  if (process.platform !== "linux") return usage.maxRSS * 1024;
  return Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "latin1"))[1]) * 1024;
}
function report() {
  const { user, system } = process.cpuUsage();
  writeSync(3, JSON.stringify({ cpuSeconds: (user + system) / 1e6, peakBytes: peakBytes() }) + "\\n");
}
process.on("SIGUSR2", report);
process.on("exit", report);
`;

/** A run of the built executable, metered from outside its own code. */
export class MeteredRun {
  readonly #child: ChildProcess;
  readonly #reports: AsyncIterator<string>;
  /** lines of standard output */
  readonly lines: AsyncIterator<string>;

  constructor(args: readonly string[]) {
    const preload = `data:text/javascript,${encodeURIComponent(meter)}`;
    this.#child = spawn(process.execPath, ["--import", preload, executable, ...args], {
      stdio: ["ignore", "pipe", "inherit", "pipe"],
    });
    this.lines = linesOf(this.#child.stdout as Readable);
    this.#reports = linesOf(this.#child.stdio[3] as Readable);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Used until now. */
  async usage(): Promise<Usage> {
    this.#child.kill("SIGUSR2");
    return this.#nextReport();
  }

  /** Waits for the end; a run that fails is an error. */
  async finish(): Promise<Usage> {
    const ended = once(this.#child, "close");
    const usage = await this.#nextReport();
    const [code] = (await ended) as [number | null];
    if (code !== 0) throw new Error(`hypocenter ended with ${code}`);
    return usage;
  }

  /** Asks a server to end, and waits for it. */
  async stop(): Promise<Usage> {
    this.#child.kill("SIGTERM");
    return this.finish();
  }

  async #nextReport(): Promise<Usage> {
    const { value, done } = await this.#reports.next();
    if (done === true) throw new Error("hypocenter ended without telling what it used");
    return JSON.parse(value) as Usage;
  }
}

function linesOf(stream: Readable): AsyncIterator<string> {
  return createInterface({ input: stream })[Symbol.asyncIterator]();
}
