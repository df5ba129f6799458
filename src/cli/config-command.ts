import { environmentNameOf, type SettingKey, settings } from "../config/settings.ts";
import { writeJson } from "../wire/write-json.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { openAccess } from "./server-access.ts";

/** `hypocenter config`: every setting with its value and where that came from; with `--check` only the verdict. */
export async function config(run: CommandRun): Promise<number> {
  if (run.settings.check) {
    // Values that are not valid have ended the command before it came here; files are looked into now.
    const access = await openAccess(run.settings, (message) => note(run, message));
    access.close();
    await writeResult(
      run,
      run.format === "json" ? writeJson({ valid: true }) : "The configuration is valid.",
    );
    return 0;
  }
  await writeResult(run, run.format === "json" ? asJson(run.origins) : asTable(run.origins));
  return 0;
}

function asJson(origins: CommandRun["origins"]): string {
  const entries = [...origins].map(
    ([key, { text, source }]) => [key, { value: shown(key, text), source }] as const,
  );
  return writeJson({ settings: new Map(entries) }, { pretty: true });
}

function asTable(origins: CommandRun["origins"]): string {
  const rows = [...origins].map(([key, { text, source }]) => [
    key,
    shown(key, text) ?? "-",
    source,
    environmentNameOf(key),
  ]);
  return table([["setting", "value", "from", "environment name"], ...rows]);
}

function shown(key: SettingKey, text: string | null): string | null {
  return text !== null && settings[key].isSecret === true ? "(hidden)" : text;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
