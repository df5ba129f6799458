import type { CommandRun } from "./command.ts";

/** How far a piece of work has come, in whatever it is counted. */
export interface ProgressState {
  readonly done: number;
  /** null = nobody knows before the end */
  readonly total: number | null;
  readonly spans: number;
}

export interface Progress {
  update(state: ProgressState): void;
  /** Takes the bar away; may be called again. */
  end(): void;
}

/** A shorter wait needs no bar. */
const silentMs = 300;
export const redrawMs = 100;
const barWidth = 24;

/** A bar on standard error while something is read; nothing at all where that is no terminal, or one that cannot redraw a line. */
export function showProgress({ host, settings, progress }: CommandRun, verb: string): Progress {
  if (progress !== undefined) return progress(verb);
  const { stderr } = host;
  if (stderr.isTTY !== true || settings.quiet || host.env["TERM"] === "dumb")
    return { update: () => {}, end: () => {} };
  let drawnAt = performance.now() + silentMs - redrawMs;
  let isShown = false;
  return {
    update(state) {
      const now = performance.now();
      if (now - drawnAt < redrawMs) return;
      drawnAt = now;
      isShown = true;
      stderr.write(`\r\u001b[K${progressLine(state, verb).slice(0, (stderr.columns ?? 80) - 1)}`);
    },
    end() {
      if (isShown) stderr.write("\r\u001b[K");
      isShown = false;
    },
  };
}

/** `reading [########----------------]  33 %  81,000 spans` */
export function progressLine({ done, total, spans }: ProgressState, verb: string): string {
  const counted = `${spans.toLocaleString("en-US")} spans`;
  if (total === null || total === 0) return `${verb}  ${counted}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * barWidth);
  const bar = "#".repeat(filled) + "-".repeat(barWidth - filled);
  return `${verb} [${bar}] ${String(Math.floor(share * 100)).padStart(3)} %  ${counted}`;
}
