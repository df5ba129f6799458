import { recordsTarget, tracesTarget } from "./decoders.ts";
import { fuzzTest } from "./fuzzer.ts";
import { protobufWords as dictionary, protobufSeeds } from "./inputs.ts";

fuzzTest(tracesTarget("protobuf", { seeds: protobufSeeds.traces, dictionary }));
fuzzTest(recordsTarget("metrics", "protobuf", { seeds: protobufSeeds.metrics, dictionary }));
fuzzTest(recordsTarget("logs", "protobuf", { seeds: protobufSeeds.logs, dictionary }));
