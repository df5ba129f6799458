import { describe, expect, test } from "vitest";
import { adviceFor } from "../../src/advice/advice.ts";
import {
  errorWords,
  factText,
  type Outcome,
  traceVerdict,
  windowVerdict,
} from "../../src/advice/evidence-texts.ts";
import {
  type Candidate,
  type CauseKind,
  type EvidenceFact,
  type SlowerFact,
  type SymptomFact,
  speaksAgainst,
} from "../../src/cascade/candidate.ts";
import type { OriginReason } from "../../src/trace/error-origin.ts";

const ms = 1_000_000;
const refused = { kind: "unreachable", type: "ECONNREFUSED", message: "connect 10.0.0.7:5432" } as const;

function origin(
  reason: OriginReason,
  known: Partial<Extract<EvidenceFact, { kind: "origin" }>> = {},
): EvidenceFact {
  const at = { service: "db", caller: "shop", operation: "GET /x", spans: [3] };
  return { kind: "origin", ...at, reason, usual: null, address: "", ...known };
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

function windowFailures(cause: CauseKind | null, isVisible = true, aside = 0): EvidenceFact {
  return { kind: "window_failures", isVisible, cause, failures: 40, aside, requests: 1000, expected: 1 };
}

function checkTexts(fact: EvidenceFact, english: string, korean: string): void {
  expect(factText(fact, "en").statement).toBe(english);
  expect(factText(fact, "ko").statement).toBe(korean);
}

function checkAdvice(of: Candidate, ...sentences: readonly string[]): void {
  expect(adviceFor({ candidates: [of], remedies: [] }, "en").map(({ sentence }) => sentence)).toEqual(
    sentences,
  );
  expect(adviceFor({ candidates: [of], remedies: [] }, "ko")).toHaveLength(sentences.length);
}

describe("what a fact says", () => {
  test("what a request left out", () => {
    const fact = (step: "call" | "message" | "peer" | "step", callee: string, name: string): EvidenceFact => {
      const at = { service: "shop", operation: "POST /orders", spans: [3] };
      return { kind: "missing_step", ...at, step, callee, name, shown: 1199, compared: 1200 };
    };
    checkTexts(
      fact("call", "pay", "POST /pay"),
      "1,199 of 1,200 such requests that were looked at (shop POST /orders) also call pay (POST /pay); this one did not",
      "shop의 POST /orders 요청은 살펴본 1,200건 중 1,199건이 pay도 호출하나 (POST /pay) 이 요청은 호출하지 않음",
    );
    checkTexts(
      fact("message", "mail", "work"),
      "1,199 of 1,200 such requests that were looked at (shop POST /orders) make mail work on work; this one did not",
      "shop의 POST /orders 요청은 살펴본 1,200건 중 1,199건이 mail의 work 처리로 이어지나 이 요청은 이어지지 않음",
    );
    checkTexts(
      fact("step", "", "validate"),
      "1,199 of 1,200 such requests that were looked at (shop POST /orders) also do validate; this one did not",
      "shop의 POST /orders 요청은 살펴본 1,200건 중 1,199건이 validate도 수행하나 이 요청은 수행하지 않음",
    );
    checkAdvice(
      candidate([fact("call", "pay", "POST /pay"), fact("step", "", "validate")], {
        service: "shop",
        kind: "missing_call",
      }),
      "shop: find out why pay POST /pay is left out of POST /orders (deploy, configuration, feature flag, input)",
    );
    checkAdvice(
      candidate([fact("call", "pay", "POST /pay")], { service: "pay" }),
      "pay: find out why calls to it fail; shop does not even try (a circuit breaker or fallback)",
    );
  });

  test("who alone could not reach another, in a window", () => {
    const alone = (otherCalls: number): EvidenceFact => ({
      kind: "alone_unreached",
      service: "shop",
      callee: "db",
      otherCalls,
      visible: 10,
      hidden: 2,
    });
    checkTexts(
      alone(340),
      "it alone could not reach db, 12 times; 340 calls of others got through",
      "이 서비스만 db에 연결하지 못함 (12건); 다른 호출자의 340건은 성공",
    );
    checkTexts(alone(0), "it could not reach db, 12 times", "db에 연결하지 못함 (12건)");
  });

  test("who reaches whom, where a connection did not come about", () => {
    const reach = (reachedBy: number, unreachedBy: number, alsoUnreached: number): EvidenceFact => {
      const isCaller = unreachedBy === 0;
      return {
        kind: "reach",
        caller: "shop",
        callee: "db",
        isCaller,
        reachedBy,
        reachedCalls: 40 * reachedBy,
        unreachedBy,
        alsoUnreached,
      };
    };
    checkTexts(
      reach(1, 0, 2),
      "1 other service reaches db as always; shop cannot reach 2 other services either",
      "다른 서비스 1개는 db에 정상적으로 연결, shop은(는) 다른 대상 2개에도 연결하지 못함",
    );
    checkTexts(
      reach(0, 3, 0),
      "3 other services cannot reach db either",
      "다른 서비스 3개도 db에 연결하지 못함",
    );
  });

  test("work that a hidden failure made necessary", () => {
    const at = { service: "db", operation: "SELECT", share: 0.5, spans: [3] };
    checkTexts(
      { kind: "instead", ...at, selfNanos: 40 * ms, shown: 3, compared: 60 },
      "because of this failure the request waited 40 ms for SELECT of db, 50 % of its time; only 3 of 60 healthy ones that were looked at do that",
      "이 실패 뒤 db의 SELECT에서 40 ms 대기 (전체의 50 %); 정상 요청은 살펴본 60건 중 3건만 수행",
    );
  });

  test("failures of a window, by the sort of fault that they began with", () => {
    const say = (cause: CauseKind | null, isVisible = true): readonly string[] =>
      (["en", "ko"] as const).map(
        (language) => factText(windowFailures(cause, isVisible), language).statement,
      );
    expect([
      ...say("error"),
      ...say("latency"),
      ...say("network"),
      ...say("unreachable"),
      ...say(null),
      ...say("error", false),
      ...say("latency", false),
    ]).toMatchInlineSnapshot(`
      [
        "40 of 1,000 requests failed with an error that began here (usually 1)",
        "요청 1,000건 중 40건이 여기서 시작된 오류로 실패 (평소 1건)",
        "40 of 1,000 requests failed because callers gave up waiting for it (usually 1)",
        "요청 1,000건 중 40건이 응답을 기다리던 호출자가 포기하여 실패 (평소 1건)",
        "40 of 1,000 requests failed on the way between it and its callers (usually 1)",
        "요청 1,000건 중 40건이 호출자와의 연결 구간에서 실패 (평소 1건)",
        "40 of 1,000 requests failed because it could not be reached (usually 1)",
        "요청 1,000건 중 40건이 연결할 수 없어 실패 (평소 1건)",
        "40 of 1,000 requests failed because of what began here (usually 1)",
        "요청 1,000건 중 40건이 여기서 시작된 문제로 실패 (평소 1건)",
        "40 failures that began here, in 1,000 requests, were hidden by retries or fallbacks (usually 1)",
        "요청 1,000건에서 여기서 시작된 실패 40건이 재시도나 폴백으로 감춰짐 (평소 1건)",
        "40 calls that callers gave up waiting for, in 1,000 requests, were hidden by retries or fallbacks (usually 1)",
        "요청 1,000건에서 호출자가 기다리다 포기한 호출 40건이 재시도나 폴백으로 감춰짐 (평소 1건)",
      ]
    `);
  });
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
  test("slow work that is usually fast, as far as that is known", () => {
    const slow = { kind: "slow_work", giveUpSpan: 1, waitedNanos: 1000 * ms, selfNanos: 950 * ms } as const;
    checkTexts(
      origin(slow, { usual: { nanos: 6 * ms, isTypical: true } }),
      "shop gave up after 1 s; 950 ms of that went into GET /x of db, usually 6 ms, which reported no error",
      "shop이(가) 1 s 뒤 포기; 그중 950 ms을(를) db의 GET /x에서 소비, 평소 6 ms (오류 표시 없음)",
    );
    const { statement } = factText(origin(slow, { usual: { nanos: 6 * ms, isTypical: false } }), "en");
    expect(statement).toContain("one request in four takes no more than 6 ms");
  });
  test("a peer that did not answer, and where it is", () => {
    checkTexts(
      origin({ kind: "peer_timeout", error: null, waitedNanos: 2500 * ms }, { address: "10.0.0.7:5432" }),
      "shop gave up on GET /x after 2.5 s: no answer from db (10.0.0.7:5432)",
      "shop이(가) GET /x 호출에서 2.5 s 기다린 뒤 포기; db (10.0.0.7:5432) 응답 없음",
    );
  });
  test("that somebody noticed a failure and hid it speaks for it; that a retry made it good does not", () => {
    const hidden = { kind: "hidden", service: "web", spans: [1] } as const;
    expect(speaksAgainst({ ...hidden, by: "masked" })).toBe(false);
    expect(speaksAgainst({ ...hidden, by: "retried" })).toBe(true);
    checkTexts(
      { ...hidden, by: "masked" },
      "web got this failure and answered without an error all the same (a fallback, or it was ignored)",
      "web이(가) 이 실패를 받고도 정상 응답 (폴백 또는 무시)",
    );
  });
  test("time that was lost between two services, and why one end is blamed", () => {
    checkTexts(
      {
        kind: "call_gap",
        edge: { caller: "shop", callee: "db" },
        share: 0.8,
        gapNanos: 400 * ms,
        usualNanos: 2 * ms,
        spans: [2],
      },
      "shop waited 400 ms for calls to db that db was not working on, 80 % of the request's time (usually 2 ms a call)",
      "shop이(가) db 호출에서 db의 처리 외에 400 ms 대기 (전체의 80 %, 평소 2 ms)",
    );
    const end = { late: 1, inOrder: 2, isSlowItself: false, otherInOrder: 1 } as const;
    checkTexts(
      { kind: "late_end", service: "shop", other: "db", isCaller: true, lost: "before", ...end },
      "the requests arrived late at db; 1 of its 3 other connections to services is late too; 1 other service reaches db in time",
      "요청이 늦게 도착함, shop의 다른 호출 대상 3개 중 1개도 지연, db의 다른 연결 1개는 정상",
    );
    checkTexts(
      { kind: "late_end", service: "db", other: "shop", isCaller: false, lost: "after", ...end },
      "the answers arrived late, after db was done; 1 of its 3 other connections from callers is late too; shop reaches 1 other service in time",
      "db의 처리가 끝난 뒤 응답이 늦게 도착함, db의 다른 호출자 3개 중 1개도 지연, shop의 다른 연결 1개는 정상",
    );
    checkTexts(
      { kind: "either_end", edge: { caller: "shop", callee: "db" } },
      "nothing else tells which end of the connection is at fault, shop or db",
      "shop와(과) db 중 어느 쪽 문제인지 이 연결만으로는 구분할 수 없음",
    );
  });
  test("a metric that rose, as a share of what there is of it", () => {
    const rise = { kind: "metric_rise", metric: "x.cpu", instance: "cart-1", alike: 0, z: 35.07 } as const;
    checkTexts(
      { ...rise, resource: "cpu", isShare: true, before: 0.2, after: 0.72 },
      "CPU of cart-1 rises from 20 % to 72 % of its limit, 35 times its usual ups and downs",
      "cart-1의 CPU 수치가 한도의 20 %에서 72 %로 상승 (평소 변동 폭의 35배)",
    );
    checkTexts(
      { ...rise, resource: "garbage_collection", instance: "", isShare: true, before: 0.001, after: 0.4 },
      "garbage collection rises from 0.1 % to 40 % of the time, 35 times its usual ups and downs",
      "가비지 컬렉션 수치가 전체 시간의 0.1 %에서 40 %로 상승 (평소 변동 폭의 35배)",
    );
  });
  test("failures of work that no request waited for are not told as failed requests", () => {
    checkTexts(
      windowFailures("error", true, 37),
      "40 failures that began here, in 1,000 requests, 37 of them in work that no request waited for (usually 1)",
      "요청 1,000건에서 여기서 시작된 실패 40건 중 37건이 요청이 기다리지 않는 작업에서 발생 (평소 1건)",
    );
    checkTexts(
      windowFailures("error", true, 40),
      "40 failures that began here, in 1,000 requests, all in work that no request waited for (usually 1)",
      "요청 1,000건에서 여기서 시작된 실패 40건이 요청이 기다리지 않는 작업에서 발생 (평소 1건)",
    );
    const fared = { requests: 1000, failed: 5, usualFailed: 2.2, excessFailed: 39, slowest: null };
    const say = (failedAside: number, language: "en" | "ko", failed = 5): string =>
      windowVerdict({ ...fared, failed, failedAside }, candidate([]), 0.9, language);
    expect(say(40, "en")).toMatch(/^40 failures in work that 1,000 requests set off and did not wait for\. /);
    expect(say(30, "en", 12)).toMatch(
      /^12 of 1,000 requests failed \(usually 2\); 30 failures in work that 1,000 requests set off/,
    );
    expect(say(0, "en", 41)).toMatch(/^41 of 1,000 requests failed \(usually 2\)\. /);
    expect(say(30, "ko", 12)).toMatch(
      /^요청 1,000건 중 12건 실패 \(평소 2건\), 요청 1,000건이 시작하고 기다리지 않은 작업에서 실패 30건\. /,
    );
  });
  test("what became slower: now and usually, and how rare that is by chance", () => {
    const slower: SlowerFact = {
      kind: "became_slower",
      role: "own",
      service: "cart",
      caller: "cart",
      callee: "cart",
      operation: "GET /x",
      isPeer: false,
      isMessage: false,
      addedNanos: 12 * ms,
      slower: 1,
      series: 1,
      beforeNanos: 8 * ms,
      afterNanos: 26 * ms,
      before: 222,
      after: 206,
      tail: null,
      z: 9.312,
    };
    checkTexts(
      slower,
      "its own work adds 12 ms to each request on average; half of all GET /x take 26 ms or more, usually 8 ms (less than 1 in 1,000,000 by chance)",
      "자체 처리 시간: 요청당 평균 12 ms 증가; GET /x 중앙값 26 ms, 평소 8 ms (우연일 확률 1,000,000분의 1 미만)",
    );
    const tail = {
      limitNanos: 300 * ms,
      before: { count: 1, of: 222 },
      after: { count: 12, of: 206 },
    };
    checkTexts(
      { ...slower, role: "called", caller: "web", z: 3.3, slower: 2, series: 3, tail },
      "the way of calls to it (network, queue) adds 12 ms to each request on average; 12 of 206 calls web → cart GET /x take longer than 300 ms, usually 1 of 222 (slower in 2 of 3 comparisons; about 1 in 1,000 by chance)",
      "이 서비스로의 호출 구간(네트워크, 대기열): 요청당 평균 12 ms 증가; web → cart GET /x 호출 206건 중 12건이 300 ms 초과, 평소 222건 중 1건 (비교 3건 중 2건 지연; 우연일 확률 약 1,000분의 1)",
    );
    expect(factText(slower, "en")).toMatchObject({ z: 9.31, slower: 1, compared: 1, value: 26, baseline: 8 });
  });
  test("what requests show more or less often: both counts, how rare that is, and what is below", () => {
    const line: SymptomFact = {
      kind: "symptom",
      signal: "logs",
      service: "cart",
      operation: "GET /x",
      label: "line",
      name: "no route",
      callee: "",
      before: { count: 0, of: 38 },
      after: { count: 58, of: 61 },
      g: 105.4,
      leaf: 1,
    };
    checkTexts(
      line,
      "log line 'no route' more often: in 58 of 61 GET /x requests, usually in 0 of 38 (less than 1 in 1,000,000 by chance; nothing unusual below it)",
      "로그 'no route' 증가: GET /x 요청 61건 중 58건, 평소 38건 중 0건 (우연일 확률 1,000,000분의 1 미만; 하위 호출은 정상)",
    );
    checkTexts(
      { ...line, label: "call", callee: "db", name: "SELECT", operation: "*", g: -6, leaf: 0.4 },
      "call cart → db SELECT less often: in 58 of 61 requests, usually in 0 of 38 (about 1 in 70 by chance; nothing unusual below 40 % of them)",
      "cart의 db SELECT 호출 감소: 요청 61건 중 58건, 평소 38건 중 0건 (우연일 확률 약 70분의 1; 그중 40 %은 하위 호출 정상)",
    );
    expect(factText({ ...line, g: -6, leaf: 0 }, "en")).toMatchObject({
      chance: 0.0143,
      g: -6,
      leaf_share: 0,
      statement: expect.stringContaining("something unusual below it each time"),
    });
  });
  test("a metric that rose, as it was sent", () => {
    const queue = {
      kind: "metric_rise",
      metric: "orders.queue.depth",
      resource: null,
      alike: 0,
      z: 4.25,
    } as const;
    checkTexts(
      { ...queue, instance: "q-1", isShare: false, before: 0.25, after: 48_200 },
      "orders.queue.depth of q-1 rises from 0.25 to 48,200, 4.3 times its usual ups and downs",
      "q-1의 orders.queue.depth 수치가 0.25에서 48,200(으)로 상승 (평소 변동 폭의 4.3배)",
    );
    checkTexts(
      { ...queue, instance: "q-1", alike: 2, isShare: false, before: 1, after: 5 },
      "orders.queue.depth of q-1 and 2 others rises from 1 to 5, 4.3 times its usual ups and downs",
      "q-1 외 2개의 orders.queue.depth 수치가 1에서 5(으)로 상승 (평소 변동 폭의 4.3배)",
    );
    const cores = { ...queue, metric: "container.cpu.usage", resource: "cpu", instance: "" } as const;
    const fact = factText({ ...cores, isShare: false, before: 0.1, after: 1.5 }, "en");
    expect(fact).toMatchObject({ value: 1.5, baseline: 0.1 });
    expect(fact.statement).toContain("container.cpu.usage rises from 0.1 to 1.5");
  });
  test("a failure that is usual", () => {
    checkTexts(
      { kind: "usual_failure", operation: "GET /", ratio: 0.96, requests: 1200 },
      "96 % of 1,200 requests to GET / fail in the healthy time too",
      "정상 시에도 GET / 요청 1,200건 중 96 % 실패",
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
            usual: { nanos: 20 * ms, isTypical: true },
            spans: [2],
          },
          { ...path, operation: "GET /y", share: 0.1 },
        ],
        { kind: "latency", edge: null },
      ),
      "db: find out why GET /x takes 900 ms (usually 20 ms)",
    );
  });
  test("about a wait that nobody worked in", () => {
    checkAdvice(
      candidate(
        [
          {
            kind: "call_gap",
            edge: { caller: "shop", callee: "db" },
            share: 0.8,
            gapNanos: 800 * ms,
            usualNanos: null,
            spans: [2],
          },
        ],
        { kind: "network" },
      ),
      "db: look at what lies between shop and db (network, proxy, accept queue)",
    );
  });
  test("about the failures of a window", () => {
    checkAdvice(
      candidate([windowFailures("error")]),
      "db: start with the failures that begin there in GET /x",
    );
    checkAdvice(
      candidate([windowFailures("latency")], { kind: "latency", edge: null }),
      "db: find out why GET /x takes so long that callers give up",
    );
    checkAdvice(
      candidate([windowFailures("network")], { kind: "network", edge: null }),
      "db: look at what lies between its callers and db (network, proxy, accept queue)",
    );
  });
  test("nothing where the evidence suggests nothing", () => {
    checkAdvice(candidate([{ kind: "scope_healthy", ratio: 0.001, requests: 900 }]));
  });
});

function outcome(kind: "failed" | "masked" | "succeeded", usualMs: number | null, isTypical = true): Outcome {
  const usual = usualMs === null ? null : { nanos: usualMs * ms, isTypical };
  const isSlow = usualMs !== null && usualMs < 100;
  const at = { service: "web", operation: "GET /", durationNanos: 200 * ms };
  return { kind, ...at, usual, isSlow, isBaseline: false, compared: 1200 };
}

test("the verdict on a request that went well says how slow it was and where its time went", () => {
  const path = {
    kind: "path_share",
    operation: "GET /x",
    share: 0.8,
    selfNanos: 160 * ms,
    spans: [2],
  } as const;
  const first = candidate([path], { kind: "latency" });
  const where = "db - the request waited 160 ms for GET /x itself, 80 % of its time.";
  const say = (of: Outcome): string => traceVerdict(of, first, 0.1, "en");
  expect(say(outcome("succeeded", null))).toBe(
    `web GET /: nothing failed; it took 200 ms, with too few requests to compare with. Most of its time went to ${where}`,
  );
  expect(say(outcome("succeeded", 190))).toBe(
    "web GET /: nothing is wrong with this request - nothing failed, and 200 ms is nothing unusual among the 1,200 requests to it here (usually 190 ms).",
  );
  expect(say({ ...outcome("succeeded", 190), isBaseline: true } as Outcome)).toBe(
    "web GET /: nothing is wrong with this request - nothing failed, and 200 ms is nothing unusual (usually 190 ms).",
  );
  expect(say(outcome("succeeded", 20))).toMatch(
    /^web GET \/: nothing failed; it took 200 ms, usually 20 ms\. Possible cause .*: db \(slow work\)/,
  );
  const slower = (span: number): EvidenceFact => ({
    kind: "slower_than_usual",
    operation: "GET /x",
    durationNanos: 160 * ms,
    usual: { nanos: 9 * ms, isTypical: true },
    spans: [span],
  });
  const slow = (...facts: readonly EvidenceFact[]): string =>
    traceVerdict(outcome("succeeded", 20), candidate(facts, { kind: "latency" }), 0.9, "en");
  expect(slow(path, slower(2))).toMatch(
    /Root cause: db \(slow work\) - GET \/x took 160 ms, usually 9 ms\.$/,
  );
  // of another span it says nothing about this time
  expect(slow(path, slower(5))).toMatch(
    / - the request waited 160 ms for GET \/x itself, 80 % of its time\.$/,
  );
  expect(traceVerdict(outcome("succeeded", 20, false), undefined, null, "ko")).toBe(
    "web GET /: 실패 없음, 200 ms 소요, 요청 넷 중 하나는 20 ms 이내.",
  );
  expect(traceVerdict(outcome("masked", 20), undefined, null, "en")).toBe(
    "web GET / went through after 200 ms (usually 20 ms), but something below it failed.",
  );
});

test("the verdict says how sure it is", () => {
  const failed = outcome("failed", null);
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
