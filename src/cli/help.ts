import { type CommandName, commandNames, flagOf, type SettingKey, settings } from "../config/settings.ts";
import { placeholderOf } from "../config/value-types.ts";
import { keysOfCommand } from "./arguments.ts";
import { type Command, commands } from "./commands.ts";

/** The narrowest terminal that is common. */
const lineLength = 80;

/** What `hypocenter help` prints. */
export function generalHelp(): string {
  const rows = commandNames.map((name) => [usageOf(name, commands[name]), commands[name].summary] as const);
  const more = [
    ["help [COMMAND]", "this text, or the options and examples of a command"],
    ["version", "print the version"],
  ] as const;
  return [
    ...wrap(
      "hypocenter: names what failed first in a distributed system, why, how it spread and who is hit",
      lineLength,
    ),
    "",
    "Usage: hypocenter COMMAND [options]",
    "",
    ...columns([...rows, ...more]),
    "",
    "Try:   hypocenter analyze traces.jsonl          hypocenter COMMAND --help",
    "",
    ...wrap(
      "Exit codes: 0 done; 1 --fail-on threshold reached, or selfcheck found a difference; 2 wrong usage or configuration; 3 input unreadable; 4 trace or service not found; 5 server unreachable; 70 a bug in hypocenter.",
      lineLength,
    ),
    "",
  ].join("\n");
}

/** What `hypocenter COMMAND --help` prints. */
export function commandHelp(name: CommandName): string {
  const command = commands[name];
  const options = optionKeys(name).map((key) => [optionOf(key, command), sentenceOf(key)] as const);
  return [
    ...wrap(`hypocenter ${name}: ${command.summary}`, lineLength),
    "",
    `Usage: hypocenter ${usageOf(name, command)} [options]`,
    "",
    ...paragraphs(command.about),
    "",
    "Options (each also as HYPOCENTER_<NAME> in the environment and as a key of the",
    "--config file):",
    ...columns([...options, ["--help", "Print this text."]]),
    "",
    "Examples:",
    ...command.examples.flatMap(({ line, says }) => [`  # ${says}`, `  ${line}`]),
    "",
  ].join("\n");
}

/** `config` takes all options; its help shows its own. */
function optionKeys(name: CommandName): readonly SettingKey[] {
  return keysOfCommand(name).filter((key) => settings[key].commands.includes(name));
}

function usageOf(name: CommandName, { operands }: Command): string {
  return operands === "" ? name : `${name} ${operands}`;
}

function optionOf(key: SettingKey, { formats }: Command): string {
  const { type, placeholder } = settings[key];
  const flag = `--${flagOf(key)}`;
  if (key === "format") return `${flag} ${formats.join("|")}`;
  return type.kind === "switch" ? flag : `${flag} ${placeholder ?? placeholderOf(type)}`;
}

function sentenceOf(key: SettingKey): string {
  const { default: standard, sentence, type } = settings[key];
  return standard === null || type.kind === "switch" ? sentence : `${sentence} Default: ${standard}.`;
}

/** Two columns, the second one wrapped. */
function columns(rows: readonly (readonly [string, string])[]): readonly string[] {
  const indent = Math.min(28, Math.max(...rows.map(([left]) => left.length)) + 4);
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, lineLength - indent);
    const fits = left.length + 4 <= indent;
    const first = fits ? [`  ${left}`.padEnd(indent) + (lines[0] ?? "")] : [`  ${left}`];
    return [...first, ...lines.slice(fits ? 1 : 0).map((line) => " ".repeat(indent) + line)];
  });
}

/** Lines that follow each other are one paragraph; an empty one parts two. */
function paragraphs(lines: readonly string[]): readonly string[] {
  const texts = lines.join("\n").split("\n\n");
  return texts.flatMap((text, i) => [
    ...(i === 0 ? [] : [""]),
    ...wrap(text.replaceAll("\n", " "), lineLength),
  ]);
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
