import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { OperationError } from "../engine/errors/operation-error.ts";
import { parseTruth, type Truth } from "../evaluation/truth.ts";
import { unreadable } from "../formats/byte-source.ts";

/** A folder that holds a case, or a set of single traces, before anything but its label is read. */
export interface CaseFolder {
  /** what the label does not name: the folder, as the user reaches it, and the folder that it is in */
  readonly name: string;
  readonly parentName: string;
  /** paths of the telemetry that is there */
  readonly files: Readonly<Partial<Record<CaseFile, string>>>;
  /** null = there is no label */
  readonly truth: Truth | null;
}

export type CaseFile = "incident" | "baseline" | "metrics" | "logs" | "traces";
const caseFiles: readonly CaseFile[] = ["incident", "baseline", "metrics", "logs", "traces"];
const labelFile = "truth.json";
const endOfName = ".jsonl.gz";

/** All cases in some folders, at any depth, sorted by path; a folder that is reached twice counts once. */
export async function findCases(folders: readonly string[]): Promise<readonly CaseFolder[]> {
  const cases: CaseFolder[] = [];
  const seen = new Set<string>();
  for (const folder of folders) {
    const before = cases.length;
    const isKnown = await addCases(folder, cases, seen);
    if (cases.length === before && !isKnown)
      throw new OperationError(
        "input_unreadable",
        `there is no case in ${folder}`,
        `a case is a folder with incident${endOfName}; \`hypocenter evaluate --help\` and docs/accuracy.md say what else is in it`,
      );
  }
  return cases;
}

/** Answers whether any of it had been seen before. */
async function addCases(root: string, cases: CaseFolder[], seen: Set<string>): Promise<boolean> {
  let isKnown = false;
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const { files, folders } = await contentOf(path);
    const real = await realpath(path);
    if (seen.has(real)) {
      isKnown = true;
      continue;
    }
    seen.add(real);
    if (files.has(`incident${endOfName}`) || files.has(labelFile))
      cases.push(await caseIn(path, root, files));
    for (const name of folders.toSorted().reverse()) waiting.push(join(path, name));
  }
  return isKnown;
}

/** Names in a folder; hidden folders are left out, links are followed. */
async function contentOf(path: string): Promise<{ files: ReadonlySet<string>; folders: readonly string[] }> {
  try {
    const files = new Set<string>();
    const folders: string[] = [];
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const { name } = entry;
      // a link that leads nowhere is a file that cannot be read
      const found = entry.isSymbolicLink() ? await stat(join(path, name)).catch(() => entry) : entry;
      if (!found.isDirectory()) files.add(name);
      else if (!name.startsWith(".")) folders.push(name);
    }
    return { files, folders };
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function caseIn(path: string, root: string, names: ReadonlySet<string>): Promise<CaseFolder> {
  const present = caseFiles.filter((file) => names.has(file + endOfName));
  return {
    name: relative(root, path) || basename(resolve(path)),
    parentName: basename(dirname(resolve(path))),
    files: Object.fromEntries(present.map((file) => [file, join(path, file + endOfName)])),
    truth: names.has(labelFile) ? await truthIn(join(path, labelFile)) : null,
  };
}

/** A label that cannot be read costs its own case only. */
async function truthIn(path: string): Promise<Truth> {
  try {
    return parseTruth(await readFile(path, "utf8"));
  } catch (cause) {
    return { kind: "unusable", complaint: unreadable(path, cause).message };
  }
}
