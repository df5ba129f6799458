import { afterAll } from "vitest";
import { fuzzTest } from "./fuzzer.ts";
import { logTarget } from "./log-target.ts";

const target = logTarget();
afterAll(target.end);

fuzzTest(target);
