import { writeFileSync } from "node:fs";
import { documentationPages } from "./doc-pages.ts";

// `npm run docs`: writes the generated pages. A test compares them with what this would write.
for (const [path, text] of documentationPages()) {
  writeFileSync(path, text);
  process.stdout.write(`${path} written\n`);
}
