// `npm run docs`, second part: writes the output of commands into the documents that show it, and the table of scoring constants.
import { writeFileSync } from "node:fs";
import { scoringPage, scoringPagePath } from "./scoring-page.ts";
import { documentsWithOutput, withCurrentOutput } from "./shown-output.ts";

for (const path of documentsWithOutput) writeFileSync(path, await withCurrentOutput(path));
writeFileSync(scoringPagePath, scoringPage());
