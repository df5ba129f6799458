// Makes the telemetry of samples/pool-exhausted: `npm run sample:pool-exhausted`. The simulator's traffic of ten minutes; the fault
// begins in the second five. Everything follows from the seed, so the files are the same in every run.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { simulateCase } from "../simulator/case.ts";
import { Clock, Resources } from "../simulator/emit-identity.ts";
import { logLines, metricLines } from "../simulator/emit-signals.ts";
import { spanLines } from "../simulator/emit-spans.ts";

const folder = join(import.meta.dirname, "../../samples/pool-exhausted");
const windowMs = 300_000;
/** 2026-11-03T10:00:00Z */
const start = 1_793_700_000_000_000_000n;

/** The lines of each file, by its name without endings. */
export function poolExhausted(): Readonly<Record<"traces" | "metrics" | "logs", readonly string[]>> {
  const { baseline, incident } = simulateCase({
    seed: 2,
    faultType: "pool_exhausted",
    services: 20,
    requests: 600,
    windowMs,
    sampleEveryMs: 15_000,
  });
  const resources = new Resources();
  const times = [
    { recording: baseline, clock: new Clock(start) },
    { recording: incident, clock: new Clock(start + BigInt(windowMs) * 1_000_000n) },
  ];
  return {
    traces: times.flatMap(({ recording, clock }) => spanLines(recording, { clock, resources, lostShare: 0 })),
    metrics: times.flatMap(({ recording, clock }) => metricLines(recording, clock, resources)),
    logs: times.flatMap(({ recording, clock }) => logLines(recording, clock, resources)),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [name, lines] of Object.entries(poolExhausted()))
    writeFileSync(join(folder, `${name}.jsonl.gz`), gzipSync(`${lines.join("\n")}\n`, { level: 9 }));
