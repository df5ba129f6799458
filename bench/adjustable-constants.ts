import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

type Load = (url: string, context: object) => Promise<object>;

/**
 * A hook for Node's loader: in the table of scoring constants every `export const` becomes a variable, and `setConstant` is
 * added, so that one process can score with any values without reading its input again. The changed text goes on to the
 * next hook, which takes the types out, by way of a file.
 */
export async function load(url: string, context: object, nextLoad: Load): Promise<object> {
  const [path = ""] = url.split("?");
  if (!path.endsWith("/src/model/scoring.ts")) return await nextLoad(url, context);
  const text = await readFile(fileURLToPath(path), "utf8");
  const names = [...text.matchAll(/^export const (\w+)/gm)].map(([, name = ""]) => name);
  const cases = names.map((name) => `case "${name}": ${name} = value; return;`);
  const setter = `export function setConstant(name: string, value: any): void { switch (name) { ${cases.join(" ")} } }`;
  const folder = await mkdtemp(join(tmpdir(), "hypocenter-scoring-"));
  try {
    const file = join(folder, "scoring.mts");
    await writeFile(file, `${text.replaceAll(/^export const /gm, "export let ")}\n${setter}\n`);
    return await nextLoad(pathToFileURL(file).href, context);
  } finally {
    await rm(folder, { recursive: true });
  }
}
