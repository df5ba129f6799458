import {
  environmentNameOf,
  flagOf,
  type Setting,
  type SettingKey,
  settingKeys,
  settings,
} from "../config/settings.ts";
import { placeholderOf, type ValueType } from "../config/value-types.ts";
import { errorCatalogue } from "../engine/errors/operation-error.ts";
import type { Parameter } from "../http/api-parameters.ts";
import { type Route, routes } from "../http/api-routes.ts";

/** The pages that are written from the tables in the code: path -> text. */
export function documentationPages(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/configuration.md", configurationPage()],
    ["docs/http-api.md", httpApiPage()],
  ]);
}

const generated = "<!-- Written by `npm run docs` from the tables in src; do not edit. -->";

function configurationPage(): string {
  return `${[
    "# Configuration",
    "",
    generated,
    "",
    "Every setting has three names: a flag, a variable in the environment, and a key in a YAML file that `--config FILE` (or",
    "`HYPOCENTER_CONFIG`) names. No file is read unless it is named. Flags win over the environment, the environment over the file,",
    "the file over the defaults. A name that hypocenter does not know is an error, wherever it stands.",
    "",
    "`hypocenter config` prints what is in effect and where each value came from; `hypocenter config --check` only says whether it",
    "is valid (exit code 2 if not).",
    "",
    "```yaml",
    "# hypocenter.yaml",
    "host: 0.0.0.0",
    `port: \${env:API_PORT:-4320}         # from the environment, with a default`,
    "store_memory: 2GB                  # sizes: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB",
    "trace_idle: 2s                     # durations: ms, s, m, h, d",
    "```",
    "",
    "In the environment, a list is separated by commas; a flag is repeated instead.",
    "",
    "| key | flag | environment | value | default | commands | what it does |",
    "|---|---|---|---|---|---|---|",
    ...settingKeys.map(settingRow),
  ].join("\n")}\n`;
}

function settingRow(key: SettingKey): string {
  const setting = settings[key];
  const cells = [
    setting.notInFile === true ? "" : `\`${key}\``,
    `\`--${flagOf(key)}\``,
    `\`${environmentNameOf(key)}\``,
    valueText(setting),
    setting.default === null ? "" : `\`${setting.default}\``,
    setting.commands.join(", "),
    setting.sentence,
  ];
  return `| ${cells.map(cell).join(" | ")} |`;
}

function valueText({ type, placeholder }: Setting): string {
  return (placeholder ?? placeholderOf(type)) + boundsOf(type);
}

function boundsOf(type: ValueType): string {
  return type.kind === "integer" ? ` (${type.min} to ${type.max})` : "";
}

function httpApiPage(): string {
  return [
    "# HTTP API",
    "",
    generated,
    "",
    "`hypocenter serve` answers on port 4320. The same in machine-readable form: `/openapi.json` (OpenAPI 3.1). Addresses take GET",
    "and HEAD, or POST with a JSON object as body. Times are RFC 3339 in UTC; where a time is asked for, `now` and `now-1h` are understood too.",
    "",
    'Errors have a fitting status and the body `{"error":{"code":"…","message":"…","hint":"…"}}`. A server on a loopback address only',
    "answers requests for `localhost`, `127.0.0.1`, `[::1]` and the names in `--allowed-hosts`. There are no CORS headers.",
    "",
    "Where an `auth_…` setting or `tls_client_ca_file` is set, everything but the health checks answers 401 `unauthenticated` to",
    "those who do not show what is asked for, and 403 `forbidden` to a token that may only send telemetry. With `tls_cert_file` the",
    "address is https.",
    "",
    ...routes.flatMap(routeLines),
  ].join("\n");
}

function routeLines({
  method = "GET",
  path,
  summary,
  parameters,
  answer,
  alias,
  errors,
}: Route): readonly string[] {
  const rows = Object.entries(parameters).map(([name, parameter]) => parameterRow(name, parameter));
  const codes = errors.map((code) => `${errorCatalogue[code].status} \`${code}\``).join(", ");
  return [
    `## ${method} ${path}`,
    "",
    `${summary}.${alias === undefined ? "" : ` The same as \`${alias}\`.`}`,
    "",
    ...(rows.length === 0
      ? []
      : ["| parameter | in | value | default | what it says |", "|---|---|---|---|---|", ...rows, ""]),
    `Answers with ${answer.description} (${mediaTypesOf(answer)})${answer.unavailable === undefined ? "" : `; status 503: ${answer.unavailable}`}. Errors: ${codes}.`,
    "",
  ];
}

function mediaTypesOf({ mediaType, otherMediaTypes = [] }: Route["answer"]): string {
  const others = otherMediaTypes.map((type) => `\`${type}\``).join(", ");
  return others === "" ? `\`${mediaType}\`` : `\`${mediaType}\`, or by \`format\` ${others}`;
}

function parameterRow(name: string, parameter: Parameter): string {
  const cells = [
    `\`${name}\``,
    parameter.in,
    valueWord(parameter.type),
    parameter.default === null ? "" : `\`${parameter.default}\``,
    parameter.description,
  ];
  return `| ${cells.map(cell).join(" | ")} |`;
}

function valueWord(type: Parameter["type"]): string {
  if (type.kind === "choice") return type.values.join(" or ");
  if (type.kind === "integer" || type.kind === "number") return `${type.kind}, ${type.min} to ${type.max}`;
  if (type.kind === "pairs") return `key=value, up to ${type.countMax} times`;
  return type.kind.replace("_", " ");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
