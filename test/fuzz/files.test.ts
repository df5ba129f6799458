import { OperationError } from "../../src/engine/errors/operation-error.ts";
import { collect, streamOf } from "../formats/sources.ts";
import { fuzzTest } from "./fuzzer.ts";
import { fileSeeds, fileWords } from "./inputs.ts";

/** Files of any format: they are refused with `input_unreadable`, or everything that is counted was handed over. */
fuzzTest({
  name: "files",
  seeds: fileSeeds,
  dictionary: fileWords,
  async run(input) {
    // Chunks end anywhere, and there are few of them: each costs more than what is in it.
    const chunkSize = Math.max(7, input.length >> (input.length % 4));
    try {
      const { tables, points, logs, summary, problems } = await collect([streamOf(input, chunkSize)]);
      const rows = tables.reduce((sum, { rowCount }) => sum + rowCount, 0);
      const handed = [rows, points.length, logs.length];
      const counted = [summary.spans, summary.points, summary.logs].map(({ accepted }) => accepted);
      if (handed.join() !== counted.join())
        throw new Error(`${handed.join()} handed over, ${counted.join()} counted`);
      const kinds = new Set(problems.map(({ kind }) => kind));
      return `${summary.files[0]?.format} ${Math.min(rows, 8)} ${[...kinds].sort().join()}`;
    } catch (error) {
      if (error instanceof OperationError && error.code === "input_unreadable")
        return error.message.replace(/".*"|\d+/g, "");
      throw error;
    }
  },
});
