import { parseArgs } from "node:util";
import { type CaseOptions, simulateCase } from "./case.ts";
import { faultKinds, healthyKinds } from "./faults.ts";
import { type CaseOutput, writeCase } from "./write-case.ts";

const usage = `Simulates incidents with exact truth, one folder each, as \`hypocenter evaluate\` reads them.

npm run simulate -- --out DIR [options]
  --cases N      windows with a fault, the kinds in turn (default: one of each kind)
  --healthy N    windows without a fault (default 0)
  --kinds A,B    only these kinds of fault
  --services N   services of each system (default 60)
  --seed S       seed of the first case, the next one has S+1 (default 0)
  --requests N   requests of users in each window, about (default 600)
  --window S     seconds of each window (default 300)
  --metrics S    seconds between two points of a metric (default 30)
  --lost-spans P percent of spans that never arrive (default 0)
  --dataset NAME name of the set (default simulated-<services>)
  --list         only lists the kinds
`;

interface Settings {
  readonly out: string;
  readonly faultTypes: readonly string[];
  readonly seed: number;
  readonly scale: Omit<CaseOptions, "seed" | "faultType">;
  readonly output: CaseOutput;
}

main(process.argv.slice(2));

function main(args: readonly string[]): void {
  const options = {
    out: { type: "string" }, cases: { type: "string" }, healthy: { type: "string" }, kinds: { type: "string" },
    services: { type: "string" }, seed: { type: "string" }, requests: { type: "string" }, window: { type: "string" },
    metrics: { type: "string" }, dataset: { type: "string" }, "lost-spans": { type: "string" }, list: { type: "boolean" }, help: { type: "boolean" },
  } as const; // biome-ignore format: a list
  try {
    const { values } = parseArgs({ args: [...args], options });
    if (values.list === true) process.stdout.write(listOfKinds());
    else if (values.help === true) process.stdout.write(usage);
    else if (values.out === undefined)
      throw new Error("--out is missing: where to write the cases (--help tells more)");
    else simulateAll(settingsOf({ ...values, out: values.out }));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}

function settingsOf(
  values: { readonly out: string } & Readonly<Record<string, string | boolean | undefined>>,
): Settings {
  const number = (name: string, fallback: number, min: number): number => {
    const text = values[name];
    const value = typeof text === "string" ? Number(text) : fallback;
    if (!Number.isInteger(value) || value < min)
      throw new Error(`--${name} must be a whole number from ${min}`);
    return value;
  };
  const kinds = typeof values["kinds"] === "string" ? values["kinds"].split(",") : Object.keys(faultKinds);
  const unknown = kinds.find((kind) => !(kind in faultKinds) && !(kind in healthyKinds));
  if (unknown !== undefined) throw new Error(`no fault is called "${unknown}"; --list names them`);
  const healthy = Object.keys(healthyKinds);
  const turn = (names: readonly string[], count: number): string[] =>
    Array.from({ length: count }, (_, i) => names[i % names.length] as string);
  const services = number("services", 60, 20);
  return {
    out: values.out,
    faultTypes: [...turn(kinds, number("cases", kinds.length, 0)), ...turn(healthy, number("healthy", 0, 0))],
    seed: number("seed", 0, 0),
    scale: {
      services,
      requests: number("requests", 600, 10),
      windowMs: number("window", 300, 30) * 1000,
      sampleEveryMs: number("metrics", 30, 1) * 1000,
    },
    output: {
      dataset: typeof values["dataset"] === "string" ? values["dataset"] : `simulated-${services}`,
      lostShare: number("lost-spans", 0, 0) / 100,
    },
  };
}

function simulateAll({ out, faultTypes, seed, scale, output }: Settings): void {
  faultTypes.forEach((faultType, place) => {
    const started = performance.now();
    const simulated = simulateCase({ ...scale, seed: seed + place, faultType });
    const name = writeCase(out, simulated, output);
    const { impact, draws, incident } = simulated;
    const shown =
      impact === null ? "healthy" : `${impact.visibility}, ${impact.touchedRequests} requests touched`;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stderr.write(
      `${place + 1}/${faultTypes.length} ${name}: ${shown}, ${incident.spans.length} spans, draw ${draws}, ${seconds} s\n`,
    );
  });
}

function listOfKinds(): string {
  return Object.entries({ ...faultKinds, ...healthyKinds })
    .map(([name, { mechanism }]) => `${name.padEnd(20)} ${mechanism}\n`)
    .join("");
}
