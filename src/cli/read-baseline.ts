import { Worker } from "node:worker_threads";
import type { Snapshot } from "../base/snapshot.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { byteSources } from "../formats/byte-source.ts";
import type { BaselineMessage, BaselineTask } from "./baseline-worker.ts";
import type { CommandRun } from "./command.ts";
import { type Progress, showProgress } from "./progress.ts";

/**
 * Of each side. A thread of its own compiles the code once more and sends sums: half a second of processor time, measured, in
 * which one thread reads and folds about as many bytes of JSON lines.
 */
const bytesMin = 8 * 2 ** 20;

/** Whether both are so large that it pays to read one in a thread of its own; not where a size is unknown, as a pipe's is. */
export async function areLarge(...sides: readonly (readonly string[])[]): Promise<boolean> {
  let isLarge = true;
  for (const inputs of sides) {
    let bytes = 0;
    for (const { size } of await byteSources(inputs)) bytes += size ?? Number.NaN;
    if (!(bytes >= bytesMin)) isLarge = false;
  }
  return isLarge;
}

/** The files of a baseline, while another thread reads them. */
export interface BesideBaseline {
  /** Sums of a `WindowRollup`, with a directory of its own; from now on the user hears of that thread. Rejects as reading does. */
  sums(): Promise<Snapshot>;
  /** Has nothing to do any more. */
  end(): Promise<void>;
}

/** Reads files in a thread of its own. What it has to say is kept until it is waited for: the user hears of one after the other. */
export function startBaseline(run: CommandRun, inputs: readonly string[]): BesideBaseline {
  const { host, settings, origins, format } = run;
  const task: BaselineTask = { settings, origins, format, operands: inputs, env: { ...host.env } };
  // the bundler puts it beside the code of analyze
  const worker = new Worker(new URL("./baseline-worker.js", import.meta.url), { workerData: task });
  const messages: BaselineMessage[] = [];
  let heard = (message: BaselineMessage): void => {
    messages.push(message);
  };
  let failure: { readonly error: unknown } | null = null;
  let failed = (error: unknown): void => {
    failure ??= { error };
  };
  worker.on("message", (message: BaselineMessage) => heard(message));
  worker.on("error", (error) => failed(error));
  worker.on("exit", () => failed(new Error("the thread that read the baseline has ended")));
  return {
    sums: () =>
      new Promise((resolve, reject) => {
        const show = shownProgress(run);
        heard = (message) => {
          switch (message.kind) {
            case "said":
              host.stderr.write(message.text);
              return;
            case "progress":
              show(message);
              return;
            case "folded":
              resolve(message.snapshot);
              return;
            case "failed":
              reject(errorOf(message));
          }
        };
        failed = reject;
        for (const message of messages) heard(message);
        if (failure !== null) reject(failure.error);
      }),
    end: async () => {
      await worker.terminate();
    },
  };
}

type OfKind<Kind extends BaselineMessage["kind"]> = Extract<BaselineMessage, { readonly kind: Kind }>;

/** A bar for each piece of work of the other thread. */
function shownProgress(run: CommandRun): (message: OfKind<"progress">) => void {
  let shown: { readonly verb: string; readonly progress: Progress } | null = null;
  return ({ verb, state }) => {
    if (shown?.verb !== verb) {
      shown?.progress.end();
      shown = { verb, progress: showProgress(run, verb) };
    }
    if (state === null) shown.progress.end();
    else shown.progress.update(state);
  };
}

function errorOf({ code, message, hint, stack }: OfKind<"failed">): Error {
  if (code !== null) return new OperationError(code, message, hint);
  return Object.assign(new Error(message), { stack });
}
