import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";
import { expect, test } from "vitest";

// ARCHITECTURE.md, "Floors": a file imports its own folder and lower floors only.
const floors: readonly (readonly string[])[] = [
  ["base"],
  ["model"],
  ["trace"],
  ["graph", "metrics"],
  ["health"],
  ["cascade"],
  ["advice"],
  ["analysis", "evaluation"],
  ["engine"],
  ["otlp", "wire", "compression"],
  ["formats", "storage", "http", "grpc", "telemetry"],
  ["config"],
  ["cli"],
];
const coreFloors = 8;
const sourceFolder = "src";

const floorOf = new Map(
  floors.flatMap((folders, floor) => folders.map((folder) => [folder, floor] as const)),
);

interface Import {
  readonly file: string;
  readonly folder: string;
  /** a folder of src, or the name of a package */
  readonly target: string;
  readonly isPackage: boolean;
}

const files = readdirSync(sourceFolder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => join(entry.parentPath, entry.name));
const sources = files.map((file) => ({ file, text: readFileSync(file, "utf8") }));
const imports = sources.flatMap(({ file, text }) => importsOf(file, text));

function importsOf(file: string, text: string): Import[] {
  const path = relative(sourceFolder, file).split(sep).join("/");
  const folder = folderOf(path);
  const statements =
    /^(?:import|export)\b[^;"]*\sfrom\s"([^"]+)"|^import\s"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
  return [...text.matchAll(statements)].map(([, from, bare, dynamic]) => {
    const specifier = from ?? bare ?? dynamic ?? "";
    const isPackage = !specifier.startsWith(".");
    const target = isPackage ? specifier : folderOf(posix.join(posix.dirname(path), specifier));
    return { file, folder, target, isPackage };
  });
}

/** "" for the files that stand above all floors (the executable and the library's index). */
function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
}

test("the floors test sees the imports", () => {
  expect(imports.length).toBeGreaterThan(200);
  expect(imports.some(({ folder, target }) => folder === "analysis" && target === "trace")).toBe(true);
});

test("every folder of src stands on a floor", () => {
  const unknown = [...new Set(imports.map(({ folder }) => folder))].filter(
    (f) => f !== "" && !floorOf.has(f),
  );
  expect(unknown).toEqual([]);
});

test("a file imports its own folder and lower floors only", () => {
  const wrong = imports
    .filter(({ folder, target, isPackage }) => !isPackage && folder !== "" && folder !== target)
    .filter(({ folder, target }) => (floorOf.get(target) ?? 99) >= (floorOf.get(folder) ?? -1))
    .map(({ file, target }) => `${file} -> ${target}`);
  expect(wrong).toEqual([]);
});

test("the core floors know no package, Node module, clock, randomness or promise", () => {
  const core = sources.filter(({ file }) => {
    const floor = floorOf.get(folderOf(relative(sourceFolder, file).split(sep).join("/")));
    return floor !== undefined && floor < coreFloors;
  });
  expect(core.length).toBeGreaterThan(30);
  const packages = imports
    .filter(({ folder, isPackage }) => isPackage && (floorOf.get(folder) ?? 99) < coreFloors)
    .map(({ file, target }) => `${file} -> ${target}`);
  expect(packages).toEqual([]);
  const forbidden =
    /\b(?:Date\.now|new Date\(\)|performance\.|Math\.random|crypto\.|Promise\b|async |await |setTimeout|setInterval|queueMicrotask|process\.|Buffer\b|globalThis)/;
  const impure = core.flatMap(({ file, text }) =>
    codeOf(text)
      .split("\n")
      .filter((line) => forbidden.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  expect(impure).toEqual([]);
});

/** Without comments and the contents of strings, which may name anything. */
function codeOf(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/\/\/.*$/gm, "")
    .replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""');
}
