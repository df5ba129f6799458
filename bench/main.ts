import { type Measurement, tableOf } from "./measure.ts";
import { benchTracesJson } from "./traces-json.ts";
import { benchTracesProtobuf } from "./traces-protobuf.ts";

/** One entry a subject; `npm run bench -- <name>…` runs only some of them. */
const benches: Readonly<Record<string, () => Promise<readonly Measurement[]>>> = {
  "traces-protobuf": benchTracesProtobuf,
  "traces-json": benchTracesJson,
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(", ")}; there are: ${Object.keys(benches).join(", ")}`);
  process.exitCode = 2;
} else {
  console.log(`Node ${process.version}, ${process.platform} ${process.arch}\n`);
  const names = chosen.length > 0 ? chosen : Object.keys(benches);
  const measurements: Measurement[] = [];
  for (const name of names) {
    const bench = benches[name];
    if (bench !== undefined) measurements.push(...(await bench()));
  }
  console.log(tableOf(measurements));
}
