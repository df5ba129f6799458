import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { benchAnalyze } from "./analyze.ts";
import { benchHugeTraces } from "./huge-traces.ts";
import { benchIncidents } from "./incidents.ts";
import { benchInstall } from "./install.ts";
import { type Row, tableOf } from "./measure.ts";
import { benchReadFiles } from "./read-files.ts";
import { benchServer } from "./server.ts";
import { benchStore } from "./store.ts";
import { benchTracesJson } from "./traces-json.ts";
import { benchTracesProtobuf } from "./traces-protobuf.ts";
import { benchWindows } from "./windows.ts";

/** `--quick` measures with a tenth of the spans. */
export interface BenchOptions {
  readonly isQuick: boolean;
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

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false } },
});
const unknown = positionals.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(", ")}; there are: ${Object.keys(benches).join(", ")}`);
  process.exitCode = 2;
} else {
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const rows: Row[] = [];
  for (const name of names) {
    console.error(`measuring ${name}`);
    rows.push(...((await benches[name]?.({ isQuick: values.quick })) ?? []));
  }
  const model = cpus()[0]?.model ?? "unknown processor";
  console.log(
    `${availableParallelism()} cores, ${model}, Node ${process.version}, ${process.platform} ${process.arch}\n`,
  );
  console.log(tableOf(rows));
}
