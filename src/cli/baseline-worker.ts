import { Writable } from "node:stream";
import { parentPort, workerData } from "node:worker_threads";
import { WindowRollup } from "../analysis/analyze-window.ts";
import { type Snapshot, snapshotOf } from "../base/snapshot.ts";
import { type ErrorCode, OperationError } from "../engine/errors/operation-error.ts";
import { foldFiles, newDirectory, noBounds } from "./analyze-files.ts";
import type { CommandRun } from "./command.ts";
import { type Progress, type ProgressState, redrawMs } from "./progress.ts";

// Runs in a thread of its own, see `startBaseline`.

/** A run without what belongs to the other thread; its operands are the files of the baseline. */
export type BaselineTask = Omit<CommandRun, "host" | "progress"> & Pick<CommandRun["host"], "env">;

export type BaselineMessage =
  | { readonly kind: "said"; readonly text: string }
  /** null = that piece of work is done */
  | { readonly kind: "progress"; readonly verb: string; readonly state: ProgressState | null }
  | { readonly kind: "folded"; readonly snapshot: Snapshot }
  /** What an error has besides its message does not survive the way. `code` null = a defect of ours */
  | {
      readonly kind: "failed";
      readonly code: ErrorCode | null;
      readonly message: string;
      readonly hint: string;
      readonly stack: string;
    };

function send(message: BaselineMessage): void {
  parentPort?.postMessage(message);
}

/** What would go to standard error goes to the other thread, which knows when it fits. */
const stderr = new Writable({
  decodeStrings: false,
  write(text: string, _, done) {
    send({ kind: "said", text });
    done();
  },
});

function sentProgress(verb: string): Progress {
  let sentAt = performance.now();
  return {
    update(state) {
      const now = performance.now();
      if (now - sentAt < redrawMs) return;
      sentAt = now;
      send({ kind: "progress", verb, state });
    },
    end: () => send({ kind: "progress", verb, state: null }),
  };
}

async function fold({ env, ...task }: BaselineTask): Promise<Snapshot> {
  const host = { stdin: process.stdin, stdout: process.stdout, stderr, env };
  const run: CommandRun = { ...task, host, progress: sentProgress };
  const rollup = new WindowRollup({ directory: newDirectory(run) });
  await foldFiles(run, run.operands, { rollup, bounds: [noBounds], window: rollup });
  return snapshotOf(rollup);
}

try {
  send({ kind: "folded", snapshot: await fold(workerData as BaselineTask) });
} catch (error) {
  const { message, stack = message } = error as Error;
  const { code, hint } = error instanceof OperationError ? error : { code: null, hint: "" };
  send({ kind: "failed", code, message, hint, stack });
}
