import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const files = existsSync(".git") ? filesOfCheckout() : filesOfArchive();
const packageJson = JSON.parse(readFileSync("package.json", "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};

test("the root holds what a newcomer expects there, and nothing else", () => {
  const entries = [...new Set(files.map((file) => file.split("/")[0] ?? ""))].sort();
  expect(entries).toEqual([
    ".ci",
    ".gitignore",
    ".oxlintrc.json",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "STYLE.md",
    "bench",
    "biome.json",
    "docs",
    "knip.json",
    "package-lock.json",
    "package.json",
    "proto",
    "samples",
    "src",
    "test",
    "tsconfig.json",
    "vitest.config.ts",
  ]);
});

test("versions of dependencies are exact, and each has its reason in docs/decisions.md", () => {
  const decisions = readFileSync("docs/decisions.md", "utf8");
  const all = { ...packageJson.dependencies, ...packageJson.devDependencies };
  const loose = Object.entries(all).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
  expect(loose).toEqual([]);
  const unexplained = Object.keys(all).filter((name) => !decisions.includes(`\`${name}\``));
  expect(unexplained).toEqual([]);
});

test("every script that the documents name exists", () => {
  const documents = files.filter((file) => file.endsWith(".md")).map((file) => readFileSync(file, "utf8"));
  const named = documents.flatMap((text) =>
    [...text.matchAll(/npm run ([a-z:-]+)/g)].map(([, script]) => script),
  );
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((script) => script === undefined || packageJson.scripts[script] === undefined)).toEqual(
    [],
  );
});

test("links between documents lead somewhere", () => {
  const broken = files
    .filter((file) => file.endsWith(".md"))
    .flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .map(([, target = ""]) => new URL(target, `file:///${file}`).pathname.slice(1))
        .filter((target) => !existsSync(target))
        .map((target) => `${file} -> ${target}`),
    );
  expect(broken).toEqual([]);
});

function filesOfCheckout(): readonly string[] {
  const words = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", words, { encoding: "utf8" }).split("\n");
  return listed.filter((file) => file !== "" && existsSync(file));
}

/** Without git: everything but the folders that .gitignore names. */
function filesOfArchive(): readonly string[] {
  const ignored = readFileSync(".gitignore", "utf8").split("\n");
  return readdirSync(".", { withFileTypes: true })
    .filter(({ name }) => !ignored.includes(`${name}/`))
    .flatMap((entry) =>
      entry.isDirectory()
        ? readdirSync(entry.name, { recursive: true, encoding: "utf8" }).map((file) => join(entry.name, file))
        : [entry.name],
    );
}
