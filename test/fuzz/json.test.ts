import { recordsTarget, tracesTarget } from "./decoders.ts";
import { fuzzTest } from "./fuzzer.ts";
import { jsonWords as dictionary, jsonSeeds } from "./inputs.ts";

fuzzTest(tracesTarget("json", { seeds: jsonSeeds.traces, dictionary }));
fuzzTest(recordsTarget("metrics", "json", { seeds: jsonSeeds.metrics, dictionary }));
fuzzTest(recordsTarget("logs", "json", { seeds: jsonSeeds.logs, dictionary }));
