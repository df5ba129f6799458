import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lockFolder } from "../../../src/storage/disk/directory-lock.ts";
import { temporaryFolder } from "./log-folder.ts";

test("R19: a second writer is told who has the folder; when that one is done, it may have it", async () => {
  const folder = temporaryFolder();
  const unlock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: "bad_configuration",
    message: `The process ${process.pid} already writes to ${folder}`,
  });
  await unlock();
  await (await lockFolder(folder))();
  expect(readdirSync(folder)).toEqual([]);
});

test("R19: another process that lives keeps its lock; that of a dead one is taken over", async () => {
  const folder = temporaryFolder();
  const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  onTestFinished(() => void other.kill("SIGKILL"));
  await once(other, "spawn");
  writeFileSync(join(folder, "lock"), `${other.pid} \n`);
  await expect(lockFolder(folder)).rejects.toMatchObject({ code: "bad_configuration" });
  other.kill("SIGKILL");
  await once(other, "close");
  const unlock = await lockFolder(folder);
  expect(readFileSync(join(folder, "lock"), "utf8")).toMatch(new RegExp(`^${process.pid} `));
  await unlock();
});

test.skipIf(!existsSync("/proc/self/stat"))(
  "a lock of a process that was killed is taken over though nobody has asked how it ended",
  async () => {
    const folder = temporaryFolder();
    // what takes the shell's place waits for no child of it
    const parent = spawn("sh", ["-c", "sleep 0.01 & echo $!; exec sleep 60"]);
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [said] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(said.toString());
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, "utf8")).toMatch(/\) Z /);
    writeFileSync(join(folder, "lock"), `${pid} \n`);
    await (await lockFolder(folder))();
  },
);

test.each([
  ["is empty", ""],
  ["is damaged", "\u0000\u0000garbage"],
  ["names this process, as after a restart in a container", `${process.pid} 1\n`],
  ["names a process of which another has the number now", `${process.ppid} 1\n`],
])("a lock that %s is taken over", async (_, text) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "lock"), text);
  await (await lockFolder(folder))();
});
