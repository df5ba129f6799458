import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { reportBug } from "../../src/cli/main.ts";
import { commandNames } from "../../src/config/settings.ts";
import { runInProcess } from "./in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function checkUsageError(line: string, message: RegExp): Promise<void> {
  const { exitCode, stdout, stderr } = await runInProcess(line);
  expect(stderr).toMatch(message);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
}

test("help lists every command", async () => {
  const { exitCode, stdout, stderr } = await runInProcess("help");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  for (const name of commandNames) expect(stdout).toContain(`  ${name}`);
  expect((await runInProcess("")).stdout).toBe(stdout);
  expect((await runInProcess("--help")).stdout).toBe(stdout);
});

test.each(commandNames)("%s --help shows its options and examples that parse", async (name) => {
  const { exitCode, stdout } = await runInProcess(`${name} --help`);
  expect(exitCode).toBe(0);
  expect(stdout).toContain("Examples:");
  expect(stdout).toContain("--quiet");
  expect((await runInProcess(`help ${name}`)).stdout).toBe(stdout);
  for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
  for (const { line } of commands[name].examples)
    expect(line).toMatch(new RegExp(`^hypocenter ${name}( |$)`));
});

test("version is the one of the package", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { readonly version: string };
  for (const line of ["version", "--version", "analyze --version"])
    expect(await runInProcess(line)).toEqual({ exitCode: 0, stdout: `hypocenter ${version}\n`, stderr: "" });
});

test("wrong usage is answered with the way out", async () => {
  await checkUsageError("analize x.jsonl", /Unknown command analize\nDid you mean analyze\?/);
  await checkUsageError(
    "traces.jsonl",
    /traces\.jsonl is no command\nTo analyse a file: hypocenter analyze traces\.jsonl/,
  );
  await checkUsageError("analyze x.jsonl --fromat json", /Unknown option --fromat\nDid you mean --format\?/);
  await checkUsageError(
    "analyze x.jsonl --grpc-port 1",
    /--grpc-port is not an option of analyze\nIt belongs to serve/,
  );
  await checkUsageError("analyze x.jsonl --format", /--format needs a value/);
  await checkUsageError("analyze x.jsonl --format --quiet", /--format needs a value/);
  await checkUsageError("analyze", /analyze needs FILE/);
  await checkUsageError("query a b", /query takes one ID, but 2 were given/);
  await checkUsageError("serve now", /serve takes no operand/);
  await checkUsageError("--quiet analyze", /--quiet comes before the command/);
  await checkUsageError(
    "services x.jsonl --format dot",
    /services has no output format dot\nIt has human, json, markdown/,
  );
  await checkUsageError("query xyz", /"xyz" is no trace id/);
  await checkUsageError("serve --data", /--data needs a value/);
});

test("a fault of hypocenter itself asks for a report, with version and stack, and exits with 70", () => {
  const said: string[] = [];
  const host = { stderr: { write: (text: string) => said.push(text) } };
  const exitCode = reportBug(new TypeError("x is undefined"), host as never);
  expect(exitCode).toBe(70);
  expect(said.join("")).toMatch(
    /bug in hypocenter[\s\S]*hypocenter \d+\.\d+\.\d+, Node\.js v[\s\S]*TypeError: x is undefined\n\s+at /,
  );
});

test("config says what is in effect and where it came from", async () => {
  const path = file("hypocenter.yaml", "port: 5000\nlang: ko\n");
  const { exitCode, stdout } = await runInProcess(`config --config ${path} --host ::1`, {
    env: { HYPOCENTER_LANG: "en" },
  });
  expect(exitCode).toBe(0);
  const { settings } = JSON.parse(stdout) as { readonly settings: Record<string, unknown> };
  expect(settings["port"]).toEqual({ value: "5000", source: path });
  expect(settings["lang"]).toEqual({ value: "en", source: "HYPOCENTER_LANG" });
  expect(settings["host"]).toEqual({ value: "::1", source: "--host" });
  expect(settings["http_port"]).toEqual({ value: "4318", source: "default" });
});

test("config keeps secrets to itself", async () => {
  const { stdout } = await runInProcess("config", {
    env: { HYPOCENTER_HEADER: "authorization=Bearer x1y2" },
  });
  expect(stdout).toContain("(hidden)");
  expect(stdout).not.toContain("x1y2");
});

test("config --check refuses what is not valid", async () => {
  const good = file("good.yaml", "port: 5000\n");
  expect((await runInProcess(`config --config ${good} --check --format human`)).stdout).toBe(
    "The configuration is valid.\n",
  );
  const bad = file("bad.yaml", "prot: 5000\n");
  const { exitCode, stderr } = await runInProcess("config --check", { env: { HYPOCENTER_CONFIG: bad } });
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/Unknown key "prot" .*\nDid you mean port\?/);
  const broken = file("broken.yaml", "port: [\n");
  expect((await runInProcess(`config --config ${broken}`)).stderr).toMatch(/broken\.yaml is not YAML/);
  expect((await runInProcess("config --config missing.yaml")).exitCode).toBe(2);
});

test("the result goes to --output, and a file that cannot be written is said", async () => {
  const path = join(folder, "out.json");
  const { stdout } = await runInProcess(`config --output ${path}`);
  expect(stdout).toBe("");
  expect(JSON.parse(readFileSync(path, "utf8"))).toHaveProperty("settings");
  const { exitCode, stderr } = await runInProcess(`config --output ${join(folder, "no", "out.json")}`);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/Cannot write .*out\.json/);
});
