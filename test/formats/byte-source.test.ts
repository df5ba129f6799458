import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { byteSources } from "../../src/formats/byte-source.ts";
import { collect, line, namesOf } from "./sources.ts";

const folder = mkdtempSync(join(tmpdir(), "byte-source-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const march = "spans-2022-03-01T00-00-00.000.json";
const june = "spans-2022-06-30T23-59-59.999.json.gz";
const live = "spans.json";
const noEnding = ["log-2022-01-01T00-00-00.000", "log-2023-01-01T00-00-00.000", "log"];
const other = "other-3.json";

const contents: Readonly<Record<string, string | Uint8Array>> = {
  [live]: line("c"),
  [march]: line("a"),
  [june]: gzipSync(line("b")),
  [other]: line("x"),
  "log-2023-01-01T00-00-00.000": line("2"),
  "log-2022-01-01T00-00-00.000": line("1"),
  log: line("3"),
};
for (const [name, content] of Object.entries(contents)) writeFileSync(join(folder, name), content);

async function order(inputs: readonly string[]): Promise<readonly string[]> {
  const sources = await byteSources(inputs);
  return sources.map(({ name }) => name.slice(folder.length + 1));
}

function paths(...names: readonly string[]): readonly string[] {
  return names.map((name) => join(folder, name));
}

test("the files of a rotated set are read oldest first, the live one last", async () => {
  expect(await order([folder])).toEqual([...noEnding, other, march, june, live]);
  expect(namesOf((await collect([folder])).tables)).toEqual(["1", "2", "3", "x", "a", "b", "c"]);
});

test("so they are when they are named in any order; other files stay where they are", async () => {
  expect(await order(paths(live, other, june, march))).toEqual([march, other, june, live]);
  expect(await order(paths(other, live))).toEqual([other, live]);
});
