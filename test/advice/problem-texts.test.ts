import { expect, test } from "vitest";
import { problemsIn } from "../../src/advice/problem-texts.ts";
import { analyzeWindow, signalProblems, WindowRollup } from "../../src/analysis/analyze-window.ts";
import type { Problem } from "../../src/model/problems.ts";
import { tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";

function problem(message: string, parts: Partial<Problem> = {}): Problem {
  return { kind: "overflow", message, count: 1, spans: [], ...parts };
}

function inKorean(message: string): string | undefined {
  return problemsIn("ko", [problem(message)])[0]?.message;
}

test("a clock that is off is told with its service and by how much, once", () => {
  const skew = problem("A clock differs", { kind: "clock_skew", service: "cart", shift_ms: 1200 });
  const english =
    "The clock of cart differs from its callers' by up to 1.2 s; the times of its spans were corrected";
  expect(problemsIn("en", [skew])[0]?.message).toBe(english);
  expect(problemsIn("en", problemsIn("en", [skew]))[0]?.message).toBe(english);
  expect(problemsIn("ko", [skew])[0]?.message).toBe(
    "cart의 시계가 호출자의 시계와 최대 1.2 s 다름; 해당 스팬의 시각을 보정함",
  );
});

test("a Korean report says in Korean what was wrong with its traces", () => {
  const rollup = new WindowRollup();
  const table = tableOf(`
    web        GET /cart   0..100   client host=a
      cart     GET /items  60..140  server host=b
    lost       GET /lost   5..9     server parent=99
    web        GET /other  20..10ms  server`);
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  const { problems } = analyzeWindow(rollup.window(), null, { language: "ko" });
  expect(problems.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(["clock_skew", "missing_parent", "negative_duration", "several_roots"]),
  );
  for (const { message } of problems) expect(message).toMatch(/\p{Script=Hangul}/u);
});

test("what was left out of comparisons is told in Korean too", () => {
  const left = signalProblems({ linesWithoutTrace: 1, droppedLines: 2, droppedPoints: 3 });
  for (const { message } of problemsIn("ko", left)) expect(message).toMatch(/\p{Script=Hangul}/u);
});

test("names and numbers stay in a translated sentence", () => {
  expect(inKorean("Times of spans are in seconds instead of nanoseconds; they were read as such")).toBe(
    "스팬의 시각이 나노초가 아니라 초 단위; 그에 맞게 읽음",
  );
  const many = "There are more than 500 services: requests of the others are counted under (others)";
  expect(inKorean(many)).toBe("서비스가 500개를 넘음: 나머지의 요청은 (others)(으)로 집계");
  expect(inKorean(`${many}; most of them are called like pod-# (service.name)`)).toBe(
    "서비스가 500개를 넘음: 나머지의 요청은 (others)(으)로 집계; 대부분 이런 이름: pod-# (service.name)",
  );
  expect(inKorean("files that are empty were passed over: a.json, b.json")).toBe(
    "건너뛴 파일 (empty): a.json, b.json",
  );
});

test("what a parser said of its input stays as it was said", () => {
  for (const message of ["expected a colon at byte 12", "constructor"])
    expect(inKorean(message)).toBe(message);
});
