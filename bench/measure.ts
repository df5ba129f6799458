/** One line of the table: what was measured, what came out, and what it has to be. */
export interface Row {
  readonly subject: string;
  readonly result: string;
  /** the promised figure; absent = none was promised */
  readonly bar?: string;
  readonly note?: string;
}

/** What is measured: `run` handles `items` items and answers something, so that no work is optimised away. */
export interface Subject {
  readonly items: number;
  run(): unknown;
}

interface WaitingSubject {
  readonly items: number;
  run(): Promise<unknown>;
}

const warmUpMs = 800;
const roundMs = 600;
const rounds = 3;

/** Items per CPU-second of this process, garbage collection included: waiting for a processor does not count. */
export function measureRate(subject: Subject): number {
  runFor(subject, warmUpMs);
  return median(Array.from({ length: rounds }, () => runFor(subject, roundMs)));
}

/** The same of work that waits: reading, for one. */
export async function measureRateOf(subject: WaitingSubject): Promise<number> {
  await runAwaitedFor(subject, warmUpMs);
  const rates: number[] = [];
  for (let round = 0; round < rounds; round += 1) rates.push(await runAwaitedFor(subject, roundMs));
  return median(rates);
}

/** A rate as the table shows it. */
export function spansPerCpuSecond(rate: number): string {
  return `${wholeNumber(rate)} spans/CPU-s`;
}

export function wholeNumber(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** By nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** The rows as a Markdown table. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ subject, result, bar = "", note = "" }) => [subject, result, bar, note]);
  const lines = [["subject", "result", "bar", "note"], ["---", "---:", "---:", "---"], ...cells];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function runFor(subject: Subject, ms: number): number {
  const before = process.cpuUsage();
  let runs = 0;
  do {
    subject.run();
    runs += 1;
  } while (cpuSecondsSince(before) * 1000 < ms);
  return (runs * subject.items) / cpuSecondsSince(before);
}

async function runAwaitedFor(subject: WaitingSubject, ms: number): Promise<number> {
  const before = process.cpuUsage();
  let runs = 0;
  do {
    await subject.run();
    runs += 1;
  } while (cpuSecondsSince(before) * 1000 < ms);
  return (runs * subject.items) / cpuSecondsSince(before);
}

function cpuSecondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
