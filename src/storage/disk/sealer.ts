import { Worker } from "node:worker_threads";
import type { Sealer, SealingResult, SealingTask } from "./sealing.ts";
import type { SealingAnswer } from "./sealing-worker.ts";

interface Waiting {
  readonly resolve: (result: SealingResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does sealing tasks one after the other in a worker thread, which is started with the first one and again should it ever end.
 * It keeps no process alive.
 */
export function startSealer(): Sealer {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let count = 0;
  let isClosed = false;
  const start = (): Worker => {
    // the bundler puts it beside the code of serve
    const started = new Worker(new URL("./sealing-worker.js", import.meta.url));
    const fail = (error: unknown): void => {
      if (worker !== started) return;
      worker = null;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.unref();
    started.on("message", (answer: SealingAnswer) => {
      const task = waiting.get(answer.number);
      waiting.delete(answer.number);
      if ("error" in answer)
        task?.reject(Object.assign(new Error(answer.error.message), { code: answer.error.code }));
      else task?.resolve(answer.result);
    });
    started.on("error", fail);
    started.on("exit", () => fail(new Error("the worker thread has ended")));
    return started;
  };
  return {
    seal: (task: SealingTask) =>
      new Promise((resolve, reject) => {
        if (isClosed) {
          reject(new Error("nothing more is sealed"));
          return;
        }
        const number = count++;
        waiting.set(number, { resolve, reject });
        worker ??= start();
        worker.postMessage({ number, task });
      }),
    close: async () => {
      isClosed = true;
      await worker?.terminate();
    },
  };
}
