/** One line of the table: how many items one CPU-second gets through. */
export interface Measurement {
  readonly subject: string;
  readonly itemsPerSecond: number;
  readonly item: string;
  readonly note: string;
}

/** What is measured: `run` handles `items` items and answers something, so that no work is optimised away. */
export interface Subject {
  readonly name: string;
  readonly item: string;
  readonly items: number;
  readonly note?: string;
  run(): unknown;
}

const warmUpMs = 800;
const roundMs = 600;
const rounds = 3;

/** Measures in CPU time of this process (garbage collection included), which other work on the machine does not touch. */
export function measure(subject: Subject): Measurement {
  runFor(subject, warmUpMs);
  const rates = Array.from({ length: rounds }, () => runFor(subject, roundMs));
  return {
    subject: subject.name,
    itemsPerSecond: rates.sort((a, b) => a - b)[rounds >> 1] as number,
    item: subject.item,
    note: subject.note ?? "",
  };
}

/** The measurements as a Markdown table. */
export function tableOf(measurements: readonly Measurement[]): string {
  const rows = measurements.map(({ subject, itemsPerSecond, item, note }) => [
    subject,
    `${Math.round(itemsPerSecond).toLocaleString("en-US")} ${item}/CPU-s`,
    note,
  ]);
  const lines = [["subject", "rate", "note"], ["---", "---:", "---"], ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
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

function cpuSecondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
