import { parentPort } from "node:worker_threads";
import { runSealingTask, type SealingTask } from "./sealing.ts";

// Runs in a thread of its own, see `startSealer`.

export type SealingAnswer =
  | { readonly number: number; readonly result: ReturnType<typeof runSealingTask> }
  | { readonly number: number; readonly error: { readonly message: string; readonly code: string } };

parentPort?.on("message", ({ number, task }: { readonly number: number; readonly task: SealingTask }) => {
  let answer: SealingAnswer;
  try {
    answer = { number, result: runSealingTask(task) };
  } catch (error) {
    // What an error has besides its message does not survive the way.
    const { message, code = "" } = error as NodeJS.ErrnoException;
    answer = { number, error: { message, code } };
  }
  parentPort?.postMessage(answer);
});
