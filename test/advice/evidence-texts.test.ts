import { describe, expect, test } from "vitest";
import { adviceFor } from "../../src/advice/advice.ts";
import { errorWords, factText, traceVerdict } from "../../src/advice/evidence-texts.ts";
import type { Candidate, EvidenceFact } from "../../src/cascade/candidate.ts";
import type { OriginReason } from "../../src/trace/error-origin.ts";

const ms = 1_000_000;
const refused = { kind: "unreachable", type: "ECONNREFUSED", message: "connect 10.0.0.7:5432" } as const;

function origin(reason: OriginReason): EvidenceFact {
  return { kind: "origin", service: "db", caller: "shop", operation: "GET /x", reason, spans: [3] };
}

function candidate(evidence: readonly EvidenceFact[], parts: Partial<Candidate> = {}): Candidate {
  return {
    service: "db",
    kind: "error",
    score: 1,
    operation: "GET /x",
    instance: null,
    edge: { caller: "shop", callee: "db" },
    evidence,
    ...parts,
  };
}

function checkTexts(fact: EvidenceFact, english: string, korean: string): void {
  expect(factText(fact, "en").statement).toBe(english);
  expect(factText(fact, "ko").statement).toBe(korean);
}

function checkAdvice(of: Candidate, ...sentences: readonly string[]): void {
  expect(adviceFor([of], "en").map(({ sentence }) => sentence)).toEqual(sentences);
  expect(adviceFor([of], "ko")).toHaveLength(sentences.length);
}

describe("what a fact says", () => {
  test("a peer out of reach", () => {
    checkTexts(
      origin({ kind: "unreachable", error: refused }),
      "shop could not reach db for GET /x (ECONNREFUSED: connect 10.0.0.7:5432)",
      "shop이(가) GET /x 호출에서 db에 연결하지 못함 (ECONNREFUSED: connect 10.0.0.7:5432)",
    );
  });
  test("slow work that reports no error", () => {
    checkTexts(
      origin({ kind: "slow_work", giveUpSpan: 1, waitedNanos: 1000 * ms, selfNanos: 950 * ms }),
      "shop gave up after 1 s; 950 ms of that went into GET /x of db, which reported no error",
      "shop이(가) 1 s 뒤 포기; 그중 950 ms을(를) db의 GET /x에서 소비 (오류 표시 없음)",
    );
  });
  test("a message of many lines is one short line", () => {
    const error = { kind: "exception", type: "E", message: `at a\n\tat b ${"x".repeat(300)}` } as const;
    const { statement } = factText(origin({ kind: "peer_error", error }), "en");
    expect(statement).toMatch(/^db answered shop's call GET \/x with an error \(E: at a at b x+…\)$/);
    expect(statement.length).toBeLessThan(220);
  });
});

describe("what to do", () => {
  test("about a service out of reach", () => {
    checkAdvice(
      candidate([origin({ kind: "unreachable", error: refused })]),
      "db: check that it runs and that shop can reach it (address, DNS, network policy)",
    );
  });
  test("about work that is slower than usual: its heaviest part only", () => {
    const path = { kind: "path_share", selfNanos: 800 * ms, share: 0.8, spans: [2] } as const;
    checkAdvice(
      candidate(
        [
          { ...path, operation: "GET /x" },
          {
            kind: "slower_than_usual",
            operation: "GET /x",
            durationNanos: 900 * ms,
            usualNanos: 20 * ms,
            spans: [2],
          },
          { ...path, operation: "GET /y", share: 0.1 },
        ],
        { kind: "latency", edge: null },
      ),
      "db: find out why GET /x takes 900 ms instead of the usual 20 ms",
    );
  });
  test("about a wait that nobody worked in", () => {
    checkAdvice(
      candidate([{ kind: "path_share", operation: "GET /x", selfNanos: 800 * ms, share: 0.8, spans: [2] }], {
        kind: "network",
      }),
      "db: look at what lies between shop and db (network, proxy, accept queue)",
    );
  });
  test("about the failures of a window", () => {
    checkAdvice(
      candidate([{ kind: "window_failures", isVisible: true, failures: 40, requests: 100, expected: 1 }]),
      "db: start with the failures that begin there in GET /x",
    );
  });
  test("nothing where the evidence suggests nothing", () => {
    checkAdvice(candidate([{ kind: "scope_healthy", ratio: 0.001, requests: 900 }]));
  });
});

test("the verdict says how sure it is", () => {
  const failed = { kind: "failed", service: "web", operation: "GET /" } as const;
  const first = candidate([origin({ kind: "peer_error", error: null })]);
  const why = "db (errors) - db answered shop's call GET /x with an error.";
  expect(traceVerdict(failed, first, 0.8, "en")).toBe(`web GET / failed. Root cause: ${why}`);
  expect(traceVerdict(failed, first, 0.5, "en")).toBe(`web GET / failed. Probable cause: ${why}`);
  expect(traceVerdict(failed, first, 0.1, "en")).toBe(
    `web GET / failed. Possible cause (little evidence): ${why}`,
  );
  expect(traceVerdict(failed, undefined, null, "ko")).toBe("web GET / 실패.");
});

test("an error type is not said twice", () => {
  const error = { kind: "unreachable", type: "ECONNREFUSED", message: "ECONNREFUSED 10.0.0.7" } as const;
  expect(errorWords(error)).toBe("ECONNREFUSED 10.0.0.7");
  expect(errorWords({ ...error, message: "" })).toBe("ECONNREFUSED");
  expect(errorWords({ ...error, type: "" })).toBe("ECONNREFUSED 10.0.0.7");
  expect(errorWords(refused)).toBe("ECONNREFUSED: connect 10.0.0.7:5432");
});
