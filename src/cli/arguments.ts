import { didYouMean } from "../config/nearest-name.ts";
import { type CommandName, flagOf, type SettingKey, settingKeys, settings } from "../config/settings.ts";
import { OperationError } from "../engine/errors/operation-error.ts";

/** A command line taken apart, before any value is read. */
export interface Arguments {
  readonly flags: ReadonlyMap<SettingKey, readonly string[]>;
  /** what is not a flag: files, ids; `-` is one of them */
  readonly operands: readonly string[];
  readonly wantsHelp: boolean;
}

/** Takes the arguments after the command's name apart: `--flag value`, `--flag=value`, `--switch`, `--` ends the flags. */
export function parseArguments(command: CommandName, words: readonly string[]): Arguments {
  const flags = new Map<SettingKey, readonly string[]>();
  const operands: string[] = [];
  let wantsHelp = false;
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] as string;
    if (word === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    if (word === "--help" || word === "-h") wantsHelp = true;
    else if (word === "-" || !word.startsWith("-")) operands.push(word);
    else {
      const [flag, inline] = splitFlag(word);
      const key = keyOfFlag(flag, command);
      const value = inline ?? (settings[key].type.kind === "switch" ? "true" : words[++i]);
      if (value === undefined || (inline === null && /^--./.test(value)))
        throw usage(command, `${flag} needs a value`);
      flags.set(key, [...(flags.get(key) ?? []), value]);
    }
  }
  return { flags, operands, wantsHelp };
}

/** The keys of all settings that a command has. */
export function keysOfCommand(command: CommandName): readonly SettingKey[] {
  return settingKeys.filter((key) => command === "config" || settings[key].commands.includes(command));
}

function splitFlag(word: string): readonly [flag: string, value: string | null] {
  const at = word.indexOf("=");
  return at < 0 ? [word, null] : [word.slice(0, at), word.slice(at + 1)];
}

function keyOfFlag(flag: string, command: CommandName): SettingKey {
  const keys = keysOfCommand(command);
  const key = keys.find((each) => `--${flagOf(each)}` === flag);
  if (key !== undefined) return key;
  const elsewhere = settingKeys.find((each) => `--${flagOf(each)}` === flag);
  if (elsewhere !== undefined)
    throw usage(
      command,
      `${flag} is not an option of ${command}`,
      `It belongs to ${settings[elsewhere].commands.join(", ")}.`,
    );
  const known = keys.map((each) => `--${flagOf(each)}`);
  throw usage(command, `Unknown option ${flag}`, didYouMean(flag, [...known, "--help"]));
}

function usage(command: CommandName, message: string, hint = ""): OperationError {
  const more = `\`hypocenter ${command} --help\` shows its options.`;
  return new OperationError("usage", message, hint === "" ? more : `${hint} ${more}`);
}
