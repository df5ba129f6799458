// `npm run docs`, second part: writes the output of commands into the documents that show it.
import { writeFileSync } from "node:fs";
import { documentsWithOutput, withCurrentOutput } from "./shown-output.ts";

for (const path of documentsWithOutput) writeFileSync(path, await withCurrentOutput(path));
