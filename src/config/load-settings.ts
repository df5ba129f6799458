import { OperationError } from "../engine/errors/operation-error.ts";
import { didYouMean } from "./nearest-name.ts";
import {
  environmentNameOf,
  flagOf,
  type SettingKey,
  type SettingValues,
  settingKeys,
  settings,
} from "./settings.ts";
import { expectationOf, parseValue, type Value } from "./value-types.ts";

export interface SettingSources {
  /** texts given on the command line; the last one counts, but for lists */
  readonly flags: ReadonlyMap<SettingKey, readonly string[]>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** what the configuration file holds, already read as YAML */
  readonly file: { readonly path: string; readonly content: unknown } | null;
}

export interface EffectiveSettings {
  readonly values: SettingValues;
  /** where each value came from and what was written there */
  readonly origins: ReadonlyMap<SettingKey, Origin>;
}

interface Origin {
  readonly source: string;
  readonly text: string | null;
}

/** Settings from flags, else the environment, else the file, else the defaults. Whatever is unknown or out of bounds is an error. */
export function loadSettings({ flags, environment, file }: SettingSources): EffectiveSettings {
  checkEnvironmentNames(environment);
  const inFile = file === null ? new Map<SettingKey, readonly string[]>() : textsOfFile(file, environment);
  const values: Partial<Record<SettingKey, Value | null>> = {};
  const origins = new Map<SettingKey, Origin>();
  for (const key of settingKeys) {
    const given = firstGiven(key, { flags, environment, inFile, filePath: file?.path ?? "" });
    values[key] = given.texts === null ? null : readTexts(key, given.texts, given.source);
    origins.set(key, { source: given.source, text: given.texts?.join(",") ?? null });
  }
  return { values: values as SettingValues, origins };
}

interface Given {
  readonly texts: readonly string[] | null;
  readonly source: string;
}

function firstGiven(
  key: SettingKey,
  from: Pick<SettingSources, "flags" | "environment"> & {
    readonly inFile: ReadonlyMap<SettingKey, readonly string[]>;
    readonly filePath: string;
  },
): Given {
  const flag = from.flags.get(key);
  if (flag !== undefined) return { texts: flag, source: `--${flagOf(key)}` };
  const name = environmentNameOf(key);
  const variable = isKubernetesLink(name, from.environment[name]) ? undefined : from.environment[name];
  if (variable !== undefined && variable !== "")
    return { texts: settings[key].type.kind === "list" ? variable.split(",") : [variable], source: name };
  const inFile = from.inFile.get(key);
  if (inFile !== undefined) return { texts: inFile, source: from.filePath };
  const standard = settings[key].default;
  return { texts: standard === null ? null : [standard], source: "default" };
}

function readTexts(key: SettingKey, texts: readonly string[], source: string): Value {
  const { type } = settings[key];
  const parsed = texts.map((text) => {
    const value = parseValue(type, text.trim());
    if (value !== null) return value;
    const where = source === `--${flagOf(key)}` ? source : `${key} (${source})`;
    throw new OperationError(
      source.startsWith("--") ? "usage" : "bad_configuration",
      `${where}: "${text}" is not valid`,
      `Expected ${expectationOf(type)}.`,
    );
  });
  return type.kind === "list"
    ? parsed.flatMap((value) => value as readonly string[])
    : (parsed.at(-1) as Value);
}

/** Names that begin like ours and are meant for others. */
const foreignNames = new Set([
  // where the tests find recorded telemetry
  "HYPOCENTER_DATA",
]);

function checkEnvironmentNames(environment: SettingSources["environment"]): void {
  const known = settingKeys.map(environmentNameOf);
  for (const name of Object.keys(environment).sort()) {
    if (!name.startsWith("HYPOCENTER_") || known.includes(name) || foreignNames.has(name)) continue;
    if (isKubernetesLink(name, environment[name])) continue;
    throw new OperationError(
      "bad_configuration",
      `Unknown environment variable ${name}`,
      didYouMean(name, known) || "`hypocenter config` lists the known ones.",
    );
  }
}

/** Kubernetes sets such variables in every pod beside a service called hypocenter (HYPOCENTER_PORT=tcp://10.0.0.1:4320). */
function isKubernetesLink(name: string, value: string | undefined): boolean {
  return (
    /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/.test(name) ||
    (name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value ?? ""))
  );
}

function textsOfFile(
  file: { readonly path: string; readonly content: unknown },
  environment: SettingSources["environment"],
): ReadonlyMap<SettingKey, readonly string[]> {
  const { path, content } = file;
  const texts = new Map<SettingKey, readonly string[]>();
  if (content === null || content === undefined) return texts;
  if (typeof content !== "object" || Array.isArray(content))
    throw new OperationError(
      "bad_configuration",
      `${path} is not a map of settings`,
      "Write one `key: value` a line.",
    );
  const known: readonly string[] = settingKeys.filter((key) => settings[key].notInFile === undefined);
  for (const [name, value] of Object.entries(content)) {
    if (!known.includes(name))
      throw new OperationError(
        "bad_configuration",
        `Unknown key "${name}" in ${path}`,
        didYouMean(name, known) || "`hypocenter config` lists the known ones.",
      );
    if (value === null) continue;
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    texts.set(
      name as SettingKey,
      items.map((item) => expandReferences(scalarText(item, name, path), environment, `${name} in ${path}`)),
    );
  }
  return texts;
}

function scalarText(value: unknown, key: string, path: string): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return String(value);
  throw new OperationError("bad_configuration", `${key} in ${path} must be one value or a list of values`);
}

/** `${env:NAME}` and `${env:NAME:-default}`, as in the OpenTelemetry Collector. */
function expandReferences(text: string, environment: SettingSources["environment"], place: string): string {
  return text.replace(/\$\{env:([A-Za-z_]\w*)(?::-([^}]*))?\}/g, (_, name: string, standard?: string) => {
    const value = environment[name] || standard;
    if (value !== undefined) return value;
    throw new OperationError(
      "bad_configuration",
      `${place} refers to the environment variable ${name}, which is not set`,
      `Set it, or give a default: \${env:${name}:-default}`,
    );
  });
}
