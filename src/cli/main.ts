import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { type EffectiveSettings, loadSettings } from "../config/load-settings.ts";
import { didYouMean } from "../config/nearest-name.ts";
import { type CommandName, commandNames, type OutputFormat } from "../config/settings.ts";
import { errorCatalogue, OperationError } from "../engine/errors/operation-error.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import { type CommandRun, type Host, note, write } from "./command.ts";
import { type Command, commands } from "./commands.ts";
import { version } from "./version.ts";

/** The exit code for a defect of hypocenter itself. */
export const bugExitCode = 70;

/** Runs one command line and answers with its exit code. Every failure ends here: in a message on standard error. */
export async function main(words: readonly string[], host: Host): Promise<number> {
  try {
    return await runCommandLine(words, host);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return 0;
    if (!(error instanceof OperationError)) return reportBug(error, host);
    host.stderr.write(`hypocenter: ${error.message}\n`);
    if (error.hint !== "") host.stderr.write(`${error.hint}\n`);
    return errorCatalogue[error.code].exitCode;
  }
}

/** Runs a command; where notes are JSON lines, so is the one that says why it failed. */
async function runNoted(command: CommandName, run: CommandRun): Promise<number> {
  try {
    return await (await commands[command].load())(run);
  } catch (error) {
    const isClosedPipe = (error as NodeJS.ErrnoException).code === "EPIPE";
    if (run.noteFormat !== "json" || isClosedPipe) throw error;
    if (!(error instanceof OperationError)) {
      note(run, bugText(error), { level: "error" });
      return bugExitCode;
    }
    const { message, hint, code } = error;
    note(run, message, { level: "error", fields: { code, hint } });
    return errorCatalogue[code].exitCode;
  }
}

/** Says that hypocenter itself failed, with what a report needs. */
export function reportBug(error: unknown, host: Host): number {
  host.stderr.write(`${bugText(error)}\n`);
  return bugExitCode;
}

function bugText(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return (
    `hypocenter: this is a bug in hypocenter, not in your data. Please report it with the lines below.\n` +
    `hypocenter ${version()}, Node.js ${process.version}, ${process.platform} ${process.arch}\n${stack}`
  );
}

async function runCommandLine(words: readonly string[], host: Host): Promise<number> {
  const [name = "help", ...rest] = words;
  if (name === "version" || name === "--version" || name === "-V") {
    await write(host.stdout, `hypocenter ${version()}\n`);
    return 0;
  }
  if (name === "help" || name === "--help" || name === "-h") return await printHelp(rest[0] ?? null, host);
  const command = knownCommand(name);
  if (rest.includes("--version")) {
    await write(host.stdout, `hypocenter ${version()}\n`);
    return 0;
  }
  const given = parseArguments(command, rest);
  if (given.wantsHelp) return await printHelp(command, host);
  const run = await prepareRun(command, given, host);
  return await runNoted(command, run);
}

function knownCommand(name: string): CommandName {
  const found = commandNames.find((each) => each === name);
  if (found !== undefined) return found;
  if (name.startsWith("-"))
    throw new OperationError(
      "usage",
      `${name} comes before the command`,
      "Write the command first: hypocenter COMMAND [options]. `hypocenter help` lists the commands.",
    );
  if (/[./]/.test(name))
    throw new OperationError(
      "usage",
      `${name} is no command`,
      `To analyse a file: hypocenter analyze ${name}`,
    );
  throw new OperationError(
    "usage",
    `Unknown command ${name}`,
    `${didYouMean(name, [...commandNames, "help", "version"])} \`hypocenter help\` lists the commands.`.trim(),
  );
}

async function prepareRun(name: CommandName, given: Arguments, host: Host): Promise<CommandRun> {
  const command = commands[name];
  checkOperands(name, command, given.operands);
  const { values, origins } = await effectiveSettings(given, host);
  const format =
    values.format ??
    (values.output === null ? null : formatByName(values.output, command)) ??
    (values.output === null && host.stdout.isTTY === true ? "human" : "json");
  if (!command.formats.includes(format))
    throw new OperationError(
      "usage",
      `${name} has no output format ${format}`,
      `It has ${command.formats.join(", ")}.`,
    );
  const notes = name === "serve" ? { noteFormat: values.log_format } : {};
  return { host, settings: values, origins, operands: given.operands, format, ...notes };
}

const formatsByEnding: Readonly<Record<string, OutputFormat>> = {
  json: "json",
  html: "html",
  htm: "html",
  md: "markdown",
  markdown: "markdown",
  mmd: "mermaid",
  mermaid: "mermaid",
  dot: "dot",
  gv: "dot",
  txt: "human",
};

/** What the ending of a file's name asks for; null where it says nothing, or nothing that the command has. */
function formatByName(path: string, { formats }: Command): OutputFormat | null {
  const ending = extname(path).slice(1).toLowerCase();
  const format = Object.hasOwn(formatsByEnding, ending) ? formatsByEnding[ending] : undefined;
  return format !== undefined && formats.includes(format) ? format : null;
}

function checkOperands(name: CommandName, command: Command, operands: readonly string[]): void {
  const { length } = operands;
  if (length >= command.operandsMin && length <= command.operandsMax) return;
  const message =
    length < command.operandsMin
      ? `${name} needs ${command.operands}`
      : command.operandsMax === 0
        ? `${name} takes no operand, but "${operands[0]}" was given`
        : `${name} takes one ${command.operands}, but ${length} were given`;
  throw new OperationError(
    "usage",
    message,
    `Usage: hypocenter ${name} ${command.operands} [options]; \`hypocenter ${name} --help\` has examples.`,
  );
}

async function effectiveSettings(given: Arguments, host: Host): Promise<EffectiveSettings> {
  const path = given.flags.get("config")?.at(-1) ?? host.env["HYPOCENTER_CONFIG"];
  const file = path ? { path, content: await readYaml(path) } : null;
  return loadSettings({ flags: given.flags, environment: host.env, file });
}

async function readYaml(path: string): Promise<unknown> {
  const hint = "Check the path given with --config or HYPOCENTER_CONFIG.";
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new OperationError("bad_configuration", `Cannot read ${path}: ${cause.message}`, hint, cause);
  });
  const { parse } = await import("yaml");
  try {
    return parse(text, { uniqueKeys: true });
  } catch (cause) {
    throw new OperationError(
      "bad_configuration",
      `${path} is not YAML: ${(cause as Error).message}`,
      "",
      cause,
    );
  }
}

async function printHelp(topic: string | null, host: Host): Promise<number> {
  const { generalHelp, commandHelp } = await import("./help.ts");
  const text = topic === null ? generalHelp() : commandHelp(knownCommand(topic));
  await write(host.stdout, text);
  return 0;
}
