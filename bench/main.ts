import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { benchAnalyze } from "./analyze.ts";
import { benchHugeTraces } from "./huge-traces.ts";
import { benchIncidents } from "./incidents.ts";
import { benchInstall } from "./install.ts";
import { type Row, tableOf } from "./measure.ts";
import { benchReadFiles } from "./read-files.ts";
import { benchServer } from "./server.ts";
import { benchSideBySide } from "./side-by-side.ts";
import { benchSteady } from "./steady.ts";
import { benchStore } from "./store.ts";
import { benchTracesJson } from "./traces-json.ts";
import { benchTracesProtobuf } from "./traces-protobuf.ts";
import { benchWindows } from "./windows.ts";

/** `--quick` measures with a tenth of the spans; `--minutes` and `--stored-spans` make two of them longer. */
export interface BenchOptions {
  readonly isQuick: boolean;
  /** how long the steady load goes on */
  readonly minutes: number;
  /** spans that are kept when the store is asked */
  readonly storedSpans: number;
}

/** One entry a subject; `npm run bench -- <name>…` runs only some of them. */
const benches: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Row[]>>> = {
  "traces-protobuf": benchTracesProtobuf,
  "traces-json": benchTracesJson,
  "read-files": benchReadFiles,
  analyze: benchAnalyze,
  "huge-traces": benchHugeTraces,
  windows: benchWindows,
  server: benchServer,
  store: benchStore,
  incidents: benchIncidents,
  install: benchInstall,
};

/** Only when asked for: they take long, or need Go. */
const longBenches: typeof benches = { steady: benchSteady, "side-by-side": benchSideBySide };
const allBenches = { ...benches, ...longBenches };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    minutes: { type: "string", default: "10" },
    "stored-spans": { type: "string", default: "5000000" },
  },
});
const options = {
  isQuick: values.quick,
  minutes: Number(values.minutes),
  storedSpans: Number(values["stored-spans"]),
};
const unknown = positionals.filter((name) => !(name in allBenches));
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(", ")}; there are: ${Object.keys(allBenches).join(", ")}`);
  process.exitCode = 2;
} else {
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const rows: Row[] = [];
  for (const name of names) {
    console.error(`measuring ${name}`);
    rows.push(...((await allBenches[name]?.(options)) ?? []));
  }
  const model = cpus()[0]?.model ?? "unknown processor";
  console.log(
    `${availableParallelism()} cores, ${model}, Node ${process.version}, ${process.platform} ${process.arch}\n`,
  );
  console.log(tableOf(rows));
}
