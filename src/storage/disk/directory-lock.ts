import { link, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OperationError } from "../../engine/errors/operation-error.ts";
import { ignoreMissing, isFileError } from "./segmented-log.ts";

/** Gives the folder free again. */
export type Unlock = () => Promise<void>;

/** folders that this process writes to: its own process id in a lock file says nothing about that */
const held = new Set<string>();

/**
 * Makes this process the only one that writes to a folder. Rejects with `bad_configuration` where another one does; the lock
 * of a process that is gone, or one that cannot be read, is taken over.
 */
export async function lockFolder(folder: string): Promise<Unlock> {
  if (held.has(folder)) throw inUse(folder, process.pid);
  const path = join(folder, "lock");
  const own = `${path}.${process.pid}`;
  await writeFile(own, `${process.pid} ${(await startOf(process.pid)) ?? ""}\n`);
  try {
    // A second round follows where a lock was found to be stale; more would mean that others keep coming.
    for (let round = 0; round < 3; round += 1) {
      if (await linked(own, path)) {
        held.add(folder);
        return async () => {
          held.delete(folder);
          await unlink(path).catch(ignoreMissing);
        };
      }
      await removeStale(folder, path);
    }
    throw inUse(folder, 0);
  } finally {
    await unlink(own).catch(ignoreMissing);
  }
}

/** Whether `path` is ours now: of several who try, one succeeds. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (isFileError(error) && error.code === "EEXIST") return false;
    throw error;
  }
}

async function removeStale(folder: string, path: string): Promise<void> {
  const text = await readFile(path, "utf8").catch(ignoreMissing);
  if (text === undefined) return;
  const [, pid = "", start = ""] = /^(\d+) (\d*)\n$/.exec(text) ?? [];
  if (pid !== "" && (await isAlive(Number(pid), start))) throw inUse(folder, Number(pid));
  // Another one may have taken it over in between: then it is given back.
  const aside = `${path}.stale.${process.pid}`;
  await rename(path, aside).catch(ignoreMissing);
  const taken = await readFile(aside, "utf8").catch(ignoreMissing);
  if (taken !== undefined && taken !== text) await linked(aside, path);
  await unlink(aside).catch(ignoreMissing);
}

async function isAlive(pid: number, start: string): Promise<boolean> {
  if (pid === process.pid || pid === 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if (isFileError(error) && error.code === "ESRCH") return false;
  }
  const now = await startOf(pid);
  if (now === "") return false;
  return now === null || start === "" || now === start;
}

/**
 * When a process was started, which tells it from a later one of its number; "" = it has ended, and nobody has asked how (in a
 * container nobody may ever do); null where the system does not say.
 */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name of the program, in brackets, may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const hasEnded = fields[0] === "Z" || fields[0] === "X";
  return hasEnded ? "" : (fields[19] ?? null);
}

function inUse(folder: string, pid: number): OperationError {
  const who = pid === 0 ? "Other processes" : `The process ${pid}`;
  return new OperationError(
    "bad_configuration",
    `${who} already ${pid === 0 ? "write" : "writes"} to ${folder}`,
    "End it first, or choose another folder with --data (or --memory).",
  );
}
