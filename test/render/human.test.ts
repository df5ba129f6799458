import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import type { Style } from "../../src/cli/render/ansi.ts";
import { renderHuman } from "../../src/cli/render/human.ts";
import { documentOf, type Printable } from "../../src/cli/render/printable.ts";
import { failedTrace, incident, shopGraph, shopServices, slowTrace, structural } from "./reports.ts";

const terminal: Style = { width: 80, color: false, unicode: true };

function shown(printable: Printable, style: Partial<Style> = {}, language: "en" | "ko" = "en"): string {
  return renderHuman(documentOf(printable, language), { ...terminal, ...style });
}

test("a failed trace: verdict, why, the way of the failure, who is hit, what to do", () => {
  expect(shown({ kind: "trace", report: failedTrace })).toMatchInlineSnapshot(`
    "✗ web GET /checkout failed.
      Root cause: orders-db (errors) - orders-db answered payment's call INSERT
      orders with an error (40P01: deadlock detected).
      confidence high (78 %) · trace 5b8efff798038103d269b633813fc60c
      2026-03-01T12:00:00Z · 1.24 s · 18 spans · 6 errors · 4 services

    WHY WE THINK SO
      1  orders-db  errors, INSERT orders                          █████████░  86 %
         call payment → orders-db
         + orders-db answered payment's call INSERT orders with an error (40P01:
           deadlock detected) [c053e195]
         + the same call was tried 3 times and failed each time
           [b7ad6b71 5fb397be c053e195]
         − against it: the trace is incomplete: 1 parent span is missing [d5a0a327]
         + High error rate: 15.00%
      2  inventory  slow work, GET /stock                          █░░░░░░░░░  14 %

    HOW IT FAILED
                                                                0 ─────────── 1.24 s
      ✗ web GET /checkout                               1.24 s  ████████████████████
        500
      ├ (+12 more)
      └ ✗ order-service POST /orders                    1.19 s  ███████████████████░
        ├ · inventory GET /stock                        170 ms  ▒▒▒░░░░░░░░░░░░░░░░░
        └ ✗ payment POST /charge                        990 ms  ░░░████████████████░
            charge failed
          ├ (+2 more)
          └ ✗ payment INSERT orders                     320 ms  ░░░░░░░░░░░░░░█████░
              ← began here: 40P01: deadlock detected

    WHO IS HIT
      entry point   web GET /checkout
      came up as    orders-db → payment (retries exhausted) → order-service (error)
                    → web (error)
      also call it  report-batch, invoice-service
      blast radius  2 unhealthy of 5 in the chain

    WHAT TO DO
      1. orders-db: find out why it answers payment's INSERT orders with errors
         [c053e195]
      2. payment: its 3 attempts to call orders-db all failed; limit retries with
         back-off and a circuit breaker [b7ad6b71 5fb397be c053e195]

    WHERE THE TIME WENT
        77 % █████████░░░    960 ms  payment INSERT orders
        14 % ██░░░░░░░░░░    170 ms  inventory GET /stock

    SERVICES IN THE DEPENDENCY CHAIN
        service        errors     p99   CPU  memory
      ▲ web             2.1 %   1.3 s  40 %    50 %
          Slow responses: p99 1.30s
      ✓ order-service   0.4 %  210 ms  40 %    50 %
      ✓ inventory       0.4 %  210 ms  40 %    50 %
      ✗ payment          15 %  210 ms  40 %    50 %
          High error rate: 15.00%
          queue 156
      ✗ orders-db        15 %  870 ms     -       -
          High error rate: 15.00%
          connections 98/100, deadlocks 12, slow queries 8

    WHAT THE HEALTH OF THE SERVICES SUGGESTS
      1. payment: review recent changes and strengthen exception handling to bring
         the error rate down
      2. orders-db: review recent changes and strengthen exception handling to bring
         the error rate down

    PROBLEMS WITH THE DATA
      · missing_parent: the parent of a span is not there [d5a0a327]
      · malformed_record ×3: not a JSON object (traces.jsonl:17)
    "
  `);
});

test("a slow trace: where the time went comes before its path", () => {
  expect(shown({ kind: "trace", report: slowTrace }, { width: 60 })).toMatchInlineSnapshot(`
    "▲ web GET /checkout: nothing failed; it took 1.24 s, usually
      210 ms.
      Probable cause: inventory (slow work) - the request waited
      980 ms for GET /stock itself, 79 % of its time.
      confidence medium (40 %)
      trace 5b8efff798038103d269b633813fc60c
      2026-03-01T12:00:00Z · 1.24 s · 18 spans · 4 services

    WHY WE THINK SO
      1  inventory  slow work, GET /stock      ██████████ 100 %
         instance inventory-7f9c-x2x4l
         + GET /stock took 980 ms, usually 20 ms [c053e195]

    WHERE THE TIME WENT
        79 % █████████░░░    980 ms  inventory GET /stock
        21 % ███░░░░░░░░░    260 ms  web GET /checkout

    PATH OF THE REQUEST
                                                 0 ────── 1.24 s
      · web GET /checkout                1.24 s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
      ├ (+12 more)
      └ · order-service POST /orders     1.19 s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒░
        └ ▲ inventory GET /stock         980 ms  ████████████░░░
            ← time went here

    WHO IS HIT
      entry point   web GET /checkout
      blast radius  0 unhealthy of 5 in the chain

    SERVICES IN THE DEPENDENCY CHAIN
        service        errors     p99   CPU  memory
      ▲ web             2.1 %   1.3 s  40 %    50 %
          Slow responses: p99 1.30s
      ✓ order-service   0.4 %  210 ms  40 %    50 %
      ▲ inventory       0.4 %  210 ms  40 %    50 %
          the cause named above; these figures alone do not show
          it
      ✗ payment          15 %  210 ms  40 %    50 %
          High error rate: 15.00%
          queue 156
      ✗ orders-db        15 %  870 ms     -       -
          High error rate: 15.00%
          connections 98/100, deadlocks 12, slow queries 8
    "
  `);
});

test("an incident in Korean", () => {
  expect(shown({ kind: "window", report: incident }, {}, "ko")).toMatchInlineSnapshot(`
    "✗ 2 services fail since 12:00:03.
      Probable cause: orders-db (saturation) - its connections are used up.
      확신도 중간 (85 %) · 구간 2026-03-01T12:00:00Z … 2026-03-01T12:10:00Z
      기준 구간 2026-03-01T11:00:00Z … 2026-03-01T12:00:00Z · 트레이스 9,324개
      스팬 120,400개 · 서비스 6개

    판단 근거
      1  orders-db  오류, INSERT orders                            █████████░  86 %
         호출 payment → orders-db
         + orders-db answered payment's call INSERT orders with an error (40P01:
           deadlock detected) [c053e195]
         + the same call was tried 3 times and failed each time
           [b7ad6b71 5fb397be c053e195]
         − 반대 근거: the trace is incomplete: 1 parent span is missing [d5a0a327]
         + High error rate: 15.00%
      2  inventory  지연, GET /stock                               █░░░░░░░░░  14 %

    영향 범위
        서비스  작업               요청  실패  평소 초과  추가 지연  전체 요청 중
      ✗ web     GET /checkout     1,204   181        177     640 ms          15 %
      ▲ web     GET /orders/{id}  8,120    24          0      95 ms           2 %
      영향받은 요청       15 % (원인 때문에 실패 또는 지연)
      영향받은 서비스     payment, order-service, web
      위험에 놓인 서비스  returns
      영향 반경           자체 지표 기준 비정상 4개

    조치
      1. orders-db: find out why it answers payment's INSERT orders with errors
         [c053e195]
      2. payment: its 3 attempts to call orders-db all failed; limit retries with
         back-off and a circuit breaker [b7ad6b71 5fb397be c053e195]

    전파 과정
        경로                 방식         요청  영향 요청 중
        orders-db → payment  오류          531         100 %
        payment → web        재시도 소진   177          33 %

    원인이 평소와 같았다면
      web GET /checkout  오류율 15 % → 0.3 %, 평균 760 ms → 120 ms

    이상 시작 순서
      orders-db  2026-03-01T12:00:03Z
      payment    2026-03-01T12:00:04.200Z (+1.2 s)
      web        2026-03-01T12:00:31Z (+28 s)

    서비스
        서비스         오류율     P99   CPU  메모리
      ▲ web             2.1 %   1.3 s  40 %    50 %
          Slow responses: p99 1.30s
      ✓ order-service   0.4 %  210 ms  40 %    50 %
      ✓ inventory       0.4 %  210 ms  40 %    50 %
      ✗ payment          15 %  210 ms  40 %    50 %
          High error rate: 15.00%
          대기열 156
      ✗ orders-db        15 %  870 ms     -       -
          High error rate: 15.00%
          연결 98/100, 교착 12, 느린 쿼리 8

    참고할 트레이스
      · 5b8efff798038103d269b633813fc60c
      · 6c8efff798038103d269b633813fc60c
    "
  `);
});

test("a request that nothing is wrong with has nobody to blame", () => {
  const text = shown({ kind: "trace", report: { ...slowTrace, healthy: true } });
  expect(text).toMatch(/^✓ /);
  expect(text.match(/^[A-Z ]+$/gm)).toEqual(["WHERE THE TIME WENT", "PATH OF THE REQUEST"]);
  expect(text).not.toMatch(/confidence|▲|✗/);
});

test("how a fault spread is told from the cause up, whatever happened most", () => {
  const [way] = incident.propagation;
  const ways = [
    ["web", "api"],
    ["api", "payment"],
    ["batch", "payment"],
    ["payment", "orders-db"],
    ["loop-a", "loop-b"],
    ["loop-b", "loop-a"],
  ].map(([caller = "", callee = ""]) => ({ ...way!, caller, callee }));
  const text = shown({ kind: "window", report: { ...incident, propagation: ways } });
  expect(text.match(/\S+ → \S+(?= +error)/g)).toEqual([
    "orders-db → payment",
    "payment → api",
    "payment → batch",
    "api → web",
    "loop-b → loop-a",
    "loop-a → loop-b",
  ]);
});

test("whom the verdict names is not counted as healthy among many services", () => {
  const state = { healthy: true, issues: [], metrics: {} };
  const names = ["orders-db", ...Array.from({ length: 9 }, (_, i) => `calm-${i}`)];
  const states = new Map(names.map((name) => [name, state]));
  const text = shown({ kind: "window", report: { ...incident, service_states: states } });
  expect(text).toMatch(/▲ orders-db .*\n +the cause named above; these figures alone do not show it\n/);
  expect(text).toContain("(+9 healthy: calm-0");
});

test("clocks that are off are told once, with the worst of them", () => {
  const skew = (service: string, shift: number, count: number) =>
    ({
      kind: "clock_skew",
      message: `The clock of ${service}`,
      count,
      spans: [],
      service,
      shift_ms: shift,
    }) as const;
  const told = (...problems: readonly ReturnType<typeof skew>[]): string =>
    shown({ kind: "window", report: { ...incident, problems } }).replace(/\s+/g, " ");
  expect(told(skew("a", 3, 2), skew("b", 1200, 5), skew("c", 4, 1))).toMatch(
    /· clock_skew ×8: The clocks of 3 services differ from their callers', that of b by most \(1\.2 s\); the times of their spans were corrected $/,
  );
  expect(told(skew("a", 3, 2))).toMatch(/· clock_skew ×2: The clock of a $/);
});

test("a structural report", () => {
  expect(shown({ kind: "structural", report: structural })).toMatchInlineSnapshot(`
    "✗ web: 2 of the 5 services in its dependency chain are unhealthy; most impact:
      orders-db.
      trace 5b8efff798038103d269b633813fc60c

    ROOT-CAUSE CANDIDATES
        service    impact score
      ✗ orders-db           2.1
          High error rate: 15.00%
      ✗ payment             1.7
          High error rate: 15.00%

    WHO IS HIT
      payment       → order-service
      orders-db     → payment, report-batch, invoice-service
      blast radius  2 unhealthy of 5 in the chain

    WHAT TO DO
      1. payment: review recent changes and strengthen exception handling to bring
         the error rate down
      2. orders-db: review recent changes and strengthen exception handling to bring
         the error rate down

    SERVICES IN THE DEPENDENCY CHAIN
        service        errors     p99   CPU  memory
      ▲ web             2.1 %   1.3 s  40 %    50 %
          Slow responses: p99 1.30s
      ✓ order-service   0.4 %  210 ms  40 %    50 %
      ✓ inventory       0.4 %  210 ms  40 %    50 %
      ✗ payment          15 %  210 ms  40 %    50 %
          High error rate: 15.00%
          queue 156
      ✗ orders-db        15 %  870 ms     -       -
          High error rate: 15.00%
          connections 98/100, deadlocks 12, slow queries 8
    "
  `);
});

test("a graph where the terminal has no Unicode", () => {
  expect(shown({ kind: "graph", graph: shopGraph }, { unicode: false })).toMatchInlineSnapshot(`
    "- 6 services and peers, 5 kinds of call

    SERVICE GRAPH
        caller         callee         kind      calls  errors     p50     p99
      ! web            order-service  sync      1,200   2.1 %  120 ms   1.2 s
        order-service  inventory      sync      1,190     0 %   20 ms   50 ms
      ! order-service  payment        sync      1,180    15 %   80 ms  900 ms
      ! payment        orders-db      inferred  3,540    15 %    4 ms  870 ms
        order-service  kafka:orders   inferred  1,180     0 %       -       -
    "
  `);
});

test("services and their operations, on a wide terminal", () => {
  expect(shown({ kind: "services", services: shopServices }, { width: 160 })).toMatchInlineSnapshot(`
    "✗ 2 services and peers, 1 unhealthy

    SERVICES
        service    requests  errors     p50     p90     p99
      ✗ orders-db     3,540    15 %    4 ms  410 ms  870 ms
          High error rate: 15.00%
          deadlocks 12
      ✓ web           1,204   2.1 %  180 ms  520 ms   1.3 s

    OPERATIONS
        service    operation      requests  errors     p50     p99
        orders-db  SELECT orders     2,360     0 %    2 ms   11 ms
      ▲ web        GET /checkout     1,204   2.1 %  180 ms   1.3 s
      ▲ orders-db  INSERT orders     1,180    45 %    7 ms  870 ms
    "
  `);
});

test("colour repeats what signs and words say: without its codes the text is the same", () => {
  const colored = shown({ kind: "trace", report: failedTrace }, { color: true });
  expect(colored).toContain("\u001b[1;38;5;208m✗ \u001b[0m");
  expect(stripVTControlCharacters(colored)).toBe(shown({ kind: "trace", report: failedTrace }));
});
