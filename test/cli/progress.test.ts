import { expect, test, vi } from "vitest";
import { progressLine, showProgress } from "../../src/cli/progress.ts";

function writesOf(isTTY: boolean, quiet = false, env: Record<string, string> = {}): readonly string[] {
  const written: string[] = [];
  const stderr = { isTTY, columns: 60, write: (text: string) => written.push(text) };
  vi.useFakeTimers({ toFake: ["performance"] });
  const progress = showProgress({ host: { stderr, env }, settings: { quiet } } as never, "reading");
  progress.update({ done: 10, total: 100, spans: 7 });
  vi.advanceTimersByTime(300);
  progress.update({ done: 50, total: 100, spans: 1234 });
  progress.end();
  progress.end();
  vi.useRealTimers();
  return written;
}

test("a bar says how far the work has come", () => {
  expect(progressLine({ done: 1, total: 3, spans: 81_000 }, "reading")).toBe(
    "reading [########----------------]  33 %  81,000 spans",
  );
  expect(progressLine({ done: 1, total: null, spans: 5 }, "reading")).toBe("reading  5 spans");
});

test("it is drawn on a terminal once the wait is no short one, and taken away again", () => {
  expect(writesOf(true)).toEqual([
    "\r\u001b[Kreading [############------------]  50 %  1,234 spans",
    "\r\u001b[K",
  ]);
});

test("nothing is drawn where nobody looks", () => {
  expect(writesOf(false)).toEqual([]);
  expect(writesOf(true, true)).toEqual([]);
});

test("nothing is drawn on a terminal that cannot redraw a line", () => {
  expect(writesOf(true, false, { TERM: "dumb" })).toEqual([]);
});
