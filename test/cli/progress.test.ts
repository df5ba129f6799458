import { expect, test } from "vitest";
import { progressLine, showProgress } from "../../src/cli/progress.ts";

function writesOf(isTTY: boolean, quiet = false): readonly string[] {
  const written: string[] = [];
  const stderr = { isTTY, columns: 60, write: (text: string) => written.push(text) };
  const progress = showProgress({ host: { stderr }, settings: { quiet } } as never, "reading", {
    silentMs: 0,
  });
  progress.update({ done: 50, total: 100, spans: 1234 });
  progress.end();
  progress.end();
  return written;
}

test("a bar says how far the work has come", () => {
  expect(progressLine({ done: 1, total: 3, spans: 81_000 }, "reading")).toBe(
    "reading [########----------------]  33 %  81,000 spans",
  );
  expect(progressLine({ done: 1, total: null, spans: 5 }, "reading")).toBe("reading  5 spans");
});

test("it is drawn on a terminal and taken away again", () => {
  expect(writesOf(true)).toEqual([
    "\r\u001b[Kreading [############------------]  50 %  1,234 spans",
    "\r\u001b[K",
  ]);
});

test("nothing is drawn where nobody looks", () => {
  expect(writesOf(false)).toEqual([]);
  expect(writesOf(true, true)).toEqual([]);
});
