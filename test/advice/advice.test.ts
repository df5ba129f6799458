import { describe, expect, test } from "vitest";
import { adviceFor } from "../../src/advice/advice.ts";
import { analyzeTrace } from "../../src/analysis/analyze-trace.ts";
import { analyzeWindow, WindowRollup, type WindowSums } from "../../src/analysis/analyze-window.ts";
import type { AdviceJson } from "../../src/analysis/report.ts";
import type { Candidate, MetricRiseFact } from "../../src/cascade/candidate.ts";
import { directoryOf, tableOf, traceOf } from "../notation.ts";
import { rawTracesOf, rollupOf } from "../scopes.ts";
import { tracesText } from "../visit-sums.ts";

type Lines = (i: number) => string;

/** `count` requests, a second (or less) apart. */
function windowOf(count: number, lines: Lines, secondsApart = 1): WindowSums {
  const text = tracesText(count, lines);
  const table = tableOf(
    secondsApart === 1
      ? text
      : text.replace(/(-?[\d.]+)\.\.(-?[\d.]+)/g, (_, start, end) => {
          const shift = Math.floor(Number(start) / 1000) * 1000 * (1 - secondsApart);
          return `${Number(start) - shift}..${Number(end) - shift}`;
        }),
  );
  const rollup = new WindowRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  return rollup.window();
}

function windowAdvice(
  before: WindowSums,
  after: WindowSums,
  language: "en" | "ko" = "en",
): readonly AdviceJson[] {
  return analyzeWindow(after, before, { language }).advice;
}

/** The advice of this kind says this in English and in Korean, and names traces (of a window) or spans (of a trace). */
function checkAdvice(
  adviceIn: (language: "en" | "ko") => readonly AdviceJson[],
  kind: string,
  { en, ko }: { readonly en: string; readonly ko: string },
): void {
  for (const [language, sentence] of [["en", en] as const, ["ko", ko] as const]) {
    const advice = adviceIn(language);
    expect(advice.length).toBeLessThanOrEqual(5);
    expect(advice.filter((each) => each.kind === kind).map((each) => each.sentence)).toEqual([sentence]);
    const shown = advice.find((each) => each.kind === kind);
    const exemplars = shown?.traces ?? shown?.spans ?? [];
    expect(exemplars.length).toBeGreaterThan(0);
    if (shown?.traces !== undefined) expect(exemplars.length).toBeLessThanOrEqual(3);
  }
}

describe("a window", () => {
  const shop = (words: string, { ms = 40, failed = false } = {}): string => {
    const error = failed ? "error" : "";
    return `
web    GET /cart   0..${ms + 20}ms  server ${error} TRACE
  web  GET         5..${ms + 15}ms  client ${error}
    cart GET /items 10..${ms + 10}ms server ${error} ${words}`;
  };
  const healthyShop = windowOf(120, (i) =>
    shop(`version=2.4.0 instance=cart-${i % 2}`, { ms: 40 + (i % 5) }),
  );

  test("rolls back a version that alone fails", () => {
    const bad = windowOf(120, (i) =>
      shop(`version=2.4.${i % 2} instance=cart-${i % 3}`, { failed: i % 2 === 1 }),
    );
    checkAdvice((language) => windowAdvice(healthyShop, bad, language), "roll_back", {
      en: "cart: roll back from version 2.4.1 to 2.4.0 (60 of 60 requests there are in trouble, 0 of 60 others)",
      ko: "cart: 버전 2.4.1을(를) 2.4.0(으)로 롤백 (해당 요청 60건 중 60건 이상, 그 외 60건 중 0건)",
    });
    const [first] = windowAdvice(healthyShop, bad);
    expect(first?.kind).toBe("roll_back");
    const [candidate] = analyzeWindow(bad, healthyShop, { language: "en" }).root_cause_candidates;
    expect(candidate?.contrast).toEqual([
      {
        key: "service.version",
        value: "2.4.1",
        requests: 60,
        bad: 60,
        other_requests: 60,
        other_bad: 0,
        alike: [],
      },
    ]);
    expect(candidate?.evidence.map(({ statement }) => statement)).toContain(
      "only in version 2.4.1: 60 of 60 requests failed, 0 of 60 others",
    );
  });

  test("drains an instance that alone is slow", () => {
    const slow = windowOf(120, (i) =>
      shop(`version=2.4.0 instance=cart-${i % 2}`, { ms: i % 2 === 1 ? 900 + i : 40 + (i % 5) }),
    );
    checkAdvice((language) => windowAdvice(healthyShop, slow, language), "instance", {
      en: "cart: drain or restart instance cart-1 (60 of 60 requests there are in trouble, 0 of 60 others)",
      ko: "cart: 인스턴스 cart-1을(를) 제외하거나 재시작 (해당 요청 60건 중 60건 이상, 그 외 60건 중 0건)",
    });
  });

  const pay = (attempts: number, { failed = false, ms = 20 } = {}): string => {
    const error = failed ? "error" : "";
    const calls = Array.from({ length: attempts }, (_, k) => {
      const [start, end] = [10 + k * (ms + 10), 10 + k * (ms + 10) + ms];
      return `
  cart POST /pay ${start}..${end}ms client ${error}
    pay POST /pay ${start + 2}..${end - 2}ms server ${error}`;
    }).join("");
    return `\ncart POST /order 0..${attempts * (ms + 10) + 10}ms server ${error} TRACE${calls}`;
  };
  const healthyPay = windowOf(100, (i) => pay(1, { ms: 20 + (i % 4) }));

  test("limits retries that multiply calls, and fails fast where callers wait", () => {
    const storm = windowOf(100, () => pay(3, { failed: true, ms: 300 }));
    checkAdvice((language) => windowAdvice(healthyPay, storm, language), "retry_policy", {
      en: "cart: its calls to pay rose from 100 to 300 for 100 requests of users (3 times as many), and 300 of 300 failed; limit retries with a budget and back-off",
      ko: "cart: 요청 100건당 pay 호출이 100회에서 300회로 증가(3배), 300건 중 300건 실패. 재시도 예산과 백오프로 제한",
    });
    checkAdvice((language) => windowAdvice(healthyPay, storm, language), "circuit_breaker", {
      en: "cart: 300 calls to pay failed after it had waited 300 ms each; fail fast, with a circuit breaker or a shorter timeout",
      ko: "cart: pay 호출 300건이 각각 300 ms 대기 후 실패. 서킷 브레이커나 더 짧은 타임아웃으로 바로 실패 처리",
    });
  });

  test("neither of it where calls fail once and at once", () => {
    const failing = windowOf(100, () => pay(1, { failed: true, ms: 20 }));
    const kinds = windowAdvice(healthyPay, failing).map(({ kind }) => kind);
    expect(kinds).not.toContain("retry_policy");
    expect(kinds).not.toContain("circuit_breaker");
    expect(kinds).toContain("fix_error");
  });

  const rated = (operation: string, { lost = false, fails = false } = {}): string => `
web    GET /${operation} 0..60ms  server ${fails ? "error" : ""} TRACE
  web  GET        5..50ms  client ${lost ? "error" : ""}
    rates GET /rates 10..45ms server ${lost ? "error" : ""}`;

  test("adds a fallback where others go on without the same callee", () => {
    const healthy = windowOf(120, (i) => rated(i % 2 === 0 ? "offers" : "checkout"));
    const lost = windowOf(120, (i) =>
      rated(i % 2 === 0 ? "offers" : "checkout", { lost: true, fails: i % 2 === 1 }),
    );
    checkAdvice((language) => windowAdvice(healthy, lost, language), "fallback", {
      en: "web: its requests fail when rates does (60/60), while web GET /offers goes on without it (0/60 failed); add a fallback",
      ko: "web: rates 실패 시 요청도 실패(60/60). web GET /offers은(는) 같은 상황에서 계속 동작(실패 0/60). 폴백 추가",
    });
    const always = windowOf(120, (i) =>
      rated(i % 2 === 0 ? "offers" : "checkout", { lost: true, fails: true }),
    );
    expect(windowAdvice(healthy, always).map(({ kind }) => kind)).not.toContain("fallback");
  });

  test("raises a timeout that is shorter than what the callee usually takes", () => {
    const timed = (waited: number, { ms, gaveUp }: { ms: number; gaveUp: boolean }): string => `
web    GET /report  0..${waited + 10}ms  server ${gaveUp ? "error" : ""} TRACE
  web  GET          5..${waited + 5}ms   client ${gaveUp ? 'error status="deadline exceeded"' : ""}
    report GET /report 8..${8 + ms}ms    server`;
    const healthy = windowOf(100, (i) => timed(260 + i, { ms: 250 + i, gaveUp: false }));
    const tight = windowOf(100, (i) => timed(200, { ms: 250 + i, gaveUp: true }));
    checkAdvice((language) => windowAdvice(healthy, tight, language), "timeout_budget", {
      en: "web: it gives up on report GET /report after 200 ms, which takes up to 348 ms in a healthy time (p99); raise the timeout",
      ko: "web: report GET /report 호출을 200 ms 만에 포기하지만 정상 시 p99는 348 ms. 타임아웃을 늘릴 것",
    });
  });

  const reach = (caller: string, { refused = false } = {}): string => `
${caller}   GET /  0..60ms  server ${refused ? "error" : ""} TRACE
  ${caller} GET    5..50ms  client ${refused ? "error server.address=rates error.type=ENOTFOUND" : ""}
${refused ? "" : "    rates GET /rates 10..45ms server"}`;

  test("looks at the way out of the only caller that reaches nothing", () => {
    const healthy = windowOf(120, (i) => reach(i % 2 === 0 ? "web" : "app"));
    const broken = windowOf(120, (i) => reach(i % 2 === 0 ? "web" : "app", { refused: i % 2 === 0 }));
    checkAdvice((language) => windowAdvice(healthy, broken, language), "egress", {
      en: "web: only its calls to rates get no answer (60/60 failed, 0/60 of other callers); check its DNS, egress policy and proxy",
      ko: "web: rates 호출이 이 서비스에서만 실패(60/60, 다른 호출자 0/60). DNS, 이그레스 정책, 프록시 확인",
    });
    const down = windowOf(120, (i) => reach(i % 2 === 0 ? "web" : "app", { refused: true }));
    expect(windowAdvice(healthy, down).map(({ kind }) => kind)).not.toContain("egress");
  });

  test("scales out what became slow while more requests came", () => {
    const slow: Lines = (i) => shop(`instance=cart-${i % 2}`, { ms: 400 + (i % 5) });
    checkAdvice((language) => windowAdvice(healthyShop, windowOf(120, slow, 0.5), language), "capacity", {
      en: "cart: it gets 2.02 requests a second instead of 1.01; scale it out, or limit the load where it comes in",
      ko: "cart: 초당 요청이 1.01건에서 2.02건으로 증가. 인스턴스를 늘리거나 입구에서 부하를 제한",
    });
    expect(windowAdvice(healthyShop, windowOf(120, slow)).map(({ kind }) => kind)).not.toContain("capacity");
  });

  test("looks at the statement of a database that alone became slow", () => {
    const stored = (db: number, other: number): string => `
cart   GET /items 0..${db + other + 40}ms  server TRACE
  cart SELECT items 5..${5 + db}ms  client db.system.name=mysql db.namespace=orders
  cart GET   ${db + 10}..${db + 10 + other}ms  client
    rates GET /rates ${db + 11}..${db + 9 + other}ms server`;
    const healthy = windowOf(100, (i) => stored(10 + (i % 4), 20));
    checkAdvice(
      (language) =>
        windowAdvice(
          healthy,
          windowOf(100, (i) => stored(500 + (i % 9), 20)),
          language,
        ),
      "database",
      {
        en: "orders: SELECT items from cart takes 504 ms instead of 11.5 ms, while any other call of its callers takes 20 ms (20 ms before); look at the index and the locks of that statement",
        ko: "orders: cart의 SELECT items이(가) 11.5 ms에서 504 ms(으)로 지연, 호출자의 다른 호출은 20 ms → 20 ms. 이 문장의 인덱스와 락 확인",
      },
    );
    const everything = windowOf(100, (i) => stored(500 + (i % 9), 900));
    expect(windowAdvice(healthy, everything).map(({ kind }) => kind)).not.toContain("database");
  });

  test("sees to the consumer whose messages wait", () => {
    const sent = (wait: number): string => `
web    POST /order 0..20ms  server TRACE
  web  send orders 5..10ms  producer
    packing process orders ${10 + wait}..${30 + wait}ms consumer`;
    const late = windowOf(100, (i) => sent(700 + (i % 9)));
    expect(
      windowAdvice(
        windowOf(100, (i) => sent(2 + (i % 3))),
        late,
      )[0]?.sentence,
    ).toBe(
      "packing: messages for process orders wait 709 ms instead of 8 ms; see that its consumers keep up, or add some",
    );
    expect(
      windowAdvice(
        windowOf(100, (i) => sent(2 + (i % 3))),
        late,
        "ko",
      )[0]?.sentence,
    ).toBe(
      "packing: process orders 메시지가 처리되기까지 709 ms 대기 (이전 8 ms). 소비자 상태를 확인하고 수를 늘릴 것",
    );
  });
});

describe("a metric", () => {
  const rise = (metric: string, figures: Partial<MetricRiseFact>): Candidate => ({
    service: "cart",
    kind: "saturation",
    score: 1,
    operation: null,
    instance: null,
    edge: null,
    evidence: [
      {
        kind: "metric_rise",
        metric,
        resource: null,
        instance: "cart-1",
        alike: 0,
        isShare: false,
        before: 1,
        after: 9,
        z: 9,
        ...figures,
      },
    ],
  });
  const say = (candidate: Candidate): readonly string[] =>
    (["en", "ko"] as const).flatMap((language) =>
      adviceFor({ candidates: [candidate], remedies: [] }, language).map(
        ({ kind, sentence }) => `${kind} ${sentence}`,
      ),
    );

  test.each([
    [
      "db.client.connection.count",
      { resource: "connections", isShare: true, before: 0.2, after: 1 },
      "pool_size",
      "(db.client.connection.count, cart-1: 20 % → 100 %)",
    ],
    [
      "k8s.pod.cpu_limit_utilization",
      { resource: "cpu", isShare: true, before: 0.2, after: 0.95 },
      "cpu_limit",
      "20 % → 95 %",
    ],
    [
      "k8s.pod.memory_limit_utilization",
      { resource: "memory", isShare: true, before: 0.4, after: 0.97 },
      "memory_limit",
      "40 % → 97 %",
    ],
    ["kafka.consumer.group.lag", {}, "queue_consumer", "1 → 9"],
    ["worker.queue.depth", {}, "pool_size", "1 → 9"],
    ["postgresql.deadlocks", {}, "database", "1 → 9"],
  ] as const)("%s", (metric, figures, kind, shown) => {
    const [english, korean, ...more] = say(rise(metric, figures));
    expect(more).toEqual([]);
    for (const text of [english, korean]) {
      expect(text).toContain(`${kind} cart: `);
      expect(text).toContain(shown);
    }
  });

  test("that is far from its limit, or that nobody knows, suggests nothing", () => {
    expect(say(rise("x", { resource: "cpu", isShare: true, before: 0.1, after: 0.5 }))).toEqual([]);
    expect(say(rise("shop.baskets.open", {}))).toEqual([]);
  });
});

describe("a trace", () => {
  function traceAdvice(text: string, baseline: string | null = null) {
    const tables = [text, ...(baseline === null ? [] : [baseline])].map((each) => tableOf(each));
    const directory = directoryOf(tables);
    const scope = { ...rollupOf(text).scope(null), directory };
    const usual = baseline === null ? {} : { baseline: { ...rollupOf(baseline).scope(null), directory } };
    return (language: "en" | "ko") => {
      const report = analyzeTrace(traceOf(text, directory), scope, { language, ...usual });
      return "advice" in report ? report.advice : [];
    };
  }

  test("fails fast where calls to one callee fail one after the other", () => {
    const advice = traceAdvice(`
web    GET /cart  0..2100ms  server error
  web  GET /a    10..1010ms  client error server.address=rates http.response.status_code=503
  web  GET /b  1020..2020ms  client error server.address=rates http.response.status_code=503`);
    checkAdvice(advice, "circuit_breaker", {
      en: "web: 2 calls to rates failed after it had waited 1 s each; fail fast, with a circuit breaker or a shorter timeout",
      ko: "web: rates 호출 2건이 각각 1 s 대기 후 실패. 서킷 브레이커나 더 짧은 타임아웃으로 바로 실패 처리",
    });
  });

  test("orders deadlines so that the one below is shorter", () => {
    const advice = traceAdvice(`
web      GET /cart  0..520ms  server error
  web    GET       10..510ms  client error status="deadline exceeded"
    cart GET /items 20..1990ms server error
      cart GET     30..1980ms client error status="timeout" server.address=rates`);
    checkAdvice(advice, "timeout_budget", {
      en: "web: it gives up after 500 ms, while cart below it waits for 1.95 s; the timeout below must be the shorter one",
      ko: "web: 500 ms 만에 포기하지만 그 아래 cart의 타임아웃은 1.95 s. 아래쪽 타임아웃을 더 짧게 설정",
    });
  });

  test("raises a timeout that a healthy time's p99 exceeds, and no other", () => {
    const call = (deadline: number): string => `
web      GET /report  0..${deadline + 20}ms  server error
  web    GET         10..${deadline + 10}ms  client error status="deadline exceeded"
    report GET /report 12..${deadline + 100}ms server`;
    const healthy = tracesText(
      60,
      (i) => `
web      GET /report  0..${320 + i}ms  server TRACE
  web    GET         10..${310 + i}ms  client
    report GET /report 12..${302 + i}ms server`,
    );
    checkAdvice(traceAdvice(call(200), healthy), "timeout_budget", {
      en: "web: it gives up on report GET /report after 200 ms, which takes up to 349 ms in a healthy time (p99); raise the timeout",
      ko: "web: report GET /report 호출을 200 ms 만에 포기하지만 정상 시 p99는 349 ms. 타임아웃을 늘릴 것",
    });
    const kinds = traceAdvice(call(2000), healthy)("en").map(({ kind }) => kind);
    expect(kinds).not.toContain("timeout_budget");
  });

  test.each([
    [
      "HikariPool-1 - Connection is not available, request timed out",
      "pool_size",
      "got no connection from its pool",
    ],
    ["getaddrinfo ENOTFOUND rates", "egress", "could not resolve the name of orders"],
    ["Deadlock found when trying to get lock", "database", "ran into a lock"],
    ["java.lang.OutOfMemoryError: Java heap space", "memory_limit", "ran out of memory"],
  ])("says what an error was short of: %s", (message, kind, words) => {
    const advice = traceAdvice(`
cart   GET /items 0..100ms  server error
  cart SELECT     5..95ms   client error db.system.name=mysql db.namespace=orders status="${message}"`);
    const [first] = advice("en");
    expect(first).toMatchObject({ kind, spans: ["0000000000000002"] });
    expect(first?.sentence).toContain(words);
    expect(first?.sentence).toContain(message);
    expect(advice("ko")[0]?.sentence).toContain(message);
  });
});
