import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type FailureOrigin,
  failureOrigins,
  type OriginStep,
  type UsualDuration,
} from "../../src/trace/error-origin.ts";
import { traceOf } from "../notation.ts";

/** The steps of an origin, from the failure down. */
function stepsOf({ lastStep }: FailureOrigin): readonly OriginStep[] {
  const steps: OriginStep[] = [];
  for (let step = lastStep; step !== null; step = step.previous) steps.push(step);
  return steps.reverse();
}

/** Origins as `service reason visibility`, the share in front where it is not whole. */
function originsOf(text: string, usual: UsualDuration = () => null): readonly string[] {
  return failureOrigins(traceOf(text), usual)
    .map(({ service, reason, visibility, share }) => {
      const part = share === 1 ? "" : `${share} `;
      return `${part}${service} ${reason.kind} ${visibility}`;
    })
    .sort();
}

function checkOrigins(text: string, ...expected: readonly string[]): void {
  expect(originsOf(text)).toEqual([...expected].sort());
}

describe("where a failure began", () => {
  test("a caller that only passes an error on is not blamed", () => {
    checkOrigins(
      `
      web      GET /cart      0..90  server error
        web    GET            5..85  client error
          cart GET /items    10..80  server error
            cart query       20..70  internal error`,
      "cart own_error visible",
    );
  });

  test("a timeout closes the connections below it, and the slow work far below is still found", () => {
    checkOrigins(
      `
      gateway      GET   0..306  server error
        gateway    GET   2..303  client error error.type=timeout
          orders   GET   3..304  server
            orders GET   8..812  client
              rates GET 10..810  server`,
      "rates slow_work visible",
    );
  });

  test("work that goes on after the answer is not waited for, whoever gives up later", () => {
    checkOrigins(
      `
      gateway      GET   0..306  server error
        gateway    GET   2..303  client error error.type=timeout
          orders   GET   3..100  server
            orders GET   8..812  client
              rates GET 10..810  server`,
      "orders network_gap visible",
    );
  });

  test("a clock of milliseconds does not part a call from its caller", () => {
    checkOrigins(
      `
      web     GET   10.0..10.9  server error
        web   GET   10.0..10.3  client error
          api GET   11.0..11.2  server error`,
      "api own_error visible",
    );
  });

  test("nothing failed, nothing to say", () => {
    checkOrigins("web GET 0..90 server http.response.status_code=404");
  });

  test("local work that does not mark its errors is looked through", () => {
    checkOrigins(
      `
      web        GET /   0..90  server error
        web      work    5..85  internal
          web    call   10..80  client error
            cart GET    20..70  server error`,
      "cart own_error visible",
    );
  });

  test("a database that answers with an error is the origin", () => {
    checkOrigins(
      `
      web   GET /   0..90  server error
        web SELECT 10..80  client error db.system=postgresql db.name=shop error.type=40P01`,
      "shop peer_error visible",
    );
  });

  test("a peer that cannot be reached", () => {
    checkOrigins(
      `
      web   GET /   0..90  server error
        web GET    10..80  client error server.address=pay error.type=ECONNREFUSED`,
      "pay unreachable visible",
    );
  });

  test("a peer that does not answer in time", () => {
    checkOrigins(
      `
      web   GET /   0..90  server error
        web GET    10..80  client server.address=pay rpc.system=grpc rpc.grpc.status_code=4`,
      "pay peer_timeout visible",
    );
  });

  test("T6: the slow callee is blamed for the timeout, although its span says OK", () => {
    const text = `
      proxy     GET       0..15000  server error status="timeout after 15 s"
        slow    work     10..20000  server ok
          slow  compute  20..19000  internal`;
    checkOrigins(text, "slow slow_work visible");
    checkOrigins(text.replace('status="timeout after 15 s"', ""), "slow slow_work visible");
    const [origin] = failureOrigins(traceOf(text), () => null);
    expect(origin!.reason).toMatchObject({ giveUpSpan: 0, waitedNanos: 15000e6, selfNanos: 14980e6 });
  });

  test("a timeout is followed past work that was called off", () => {
    checkOrigins(
      `
      web      GET       0..100  client error error.type=timeout
        cart   serve     1..101  server error status="context canceled"
          cart compute   2..99   internal
          cart GET      99..101  client error status="context canceled" server.address=pay`,
      "cart slow_work visible",
    );
  });

  test("a timeout shorter than the callee's usual time is the caller's own", () => {
    const text = `
      web    GET    0..50  client error error.type=timeout
        cart serve  1..90  server`;
    expect(originsOf(text, () => 85e6)).toEqual(["web tight_timeout visible"]);
    expect(originsOf(text, () => 5e6)).toEqual(["cart slow_work visible"]);
  });

  test("a wait that passed outside the callee is the network's", () => {
    checkOrigins(
      `
      web    GET     0..100  client error error.type=timeout
        cart serve  90..99   server`,
      "cart network_gap visible",
    );
  });

  test("an answer that was lost on its way", () => {
    checkOrigins(
      `
      web    GET     0..100  client error error.type=ECONNRESET
        cart serve  10..90   server`,
      "cart network_gap visible",
    );
  });

  test("a refused request is the caller's own fault", () => {
    checkOrigins(
      `
      web      GET /    0..100  server error
        web    GET      5..95   client http.response.status_code=404
          cart serve   10..90   server http.response.status_code=404`,
      "web rejected_request visible",
    );
  });

  test("an error answer that the callee does not mark is the callee's", () => {
    checkOrigins(
      `
      web    GET      5..95   client http.response.status_code=500
        cart serve   10..90   server`,
      "cart peer_error visible",
    );
  });

  test("a retry that went well hides the failed attempt", () => {
    checkOrigins(
      `
      web   GET /   0..90  server
        web GET    10..20  client error server.address=pay
        web GET    30..40  client server.address=pay`,
      "pay peer_error retried",
    );
  });

  test("a retry is seen although only the answered attempt has a server span", () => {
    checkOrigins(
      `
      web     GET /   0..90  server
        web   GET    10..20  client error server.address=10.0.0.9 error.type=ECONNREFUSED
        web   GET    30..40  client server.address=10.0.0.9
          pay serve  32..38  server`,
      "10.0.0.9 unreachable retried",
    );
  });

  test("retries that all failed are one cause with three attempts", () => {
    const text = `
      web   GET /   0..90  server error
        web GET    10..20  client error server.address=pay
        web GET    30..40  client error server.address=pay
        web GET    50..60  client error server.address=pay`;
    checkOrigins(text, "pay peer_error visible");
    const [origin] = failureOrigins(traceOf(text), () => null);
    expect(stepsOf(origin!).map(({ attempts }) => attempts)).toEqual([[1, 2, 3]]);
  });

  test("a fallback masks the failure below it", () => {
    checkOrigins(
      `
      web     GET /   0..90  server
        web   GET    10..80  client
          rec serve  15..75  server
            rec sql  20..30  client error db.system=mysql db.name=recs`,
      "recs peer_error masked",
    );
  });

  test("an own exception after retries that went well is the span's own", () => {
    checkOrigins(
      `
      web   GET /   0..90  server error exception="TypeError: x is undefined"
        web GET    10..20  client error server.address=pay
        web GET    30..40  client server.address=pay`,
      "web own_error visible",
    );
  });

  test("failures side by side share", () => {
    checkOrigins(
      `
      web   GET /   0..90  server error
        web a      10..80  client error server.address=pay
        web b      20..70  client error server.address=stock
        web c       2..8   client error server.address=mail`,
      "0.5 pay peer_error visible",
      "0.5 stock peer_error visible",
    );
  });

  test("a consumer that fails is a failure of its own, not the producer's", () => {
    checkOrigins(
      `
      shop    GET /   0..20  server
        shop  send   10..15  producer messaging.system=kafka messaging.destination.name=q
          mail work  30..60  consumer error`,
      "mail own_error visible",
    );
  });

  test("a failure that local work hides is told once", () => {
    checkOrigins(
      `
      web       GET /   0..90  server error
        web     a       5..85  internal
          web   b      10..80  internal
            web call   20..70  client error server.address=pay`,
      "pay peer_error visible",
    );
  });

  test("work that merely ends with its failed parent is not a timeout", () => {
    checkOrigins(
      `
      web   GET /   0..90  server error
        web work   10..90  internal`,
      "web own_error visible",
    );
  });

  test("the shares of each failure add up to one, and every failed root has an origin", () => {
    const span = fc.record({
      parent: fc.nat(20),
      start: fc.nat(60),
      length: fc.nat(40),
      words: fc.constantFrom(
        "client error server.address=x",
        "server error",
        "client",
        "server",
        "",
        "consumer error",
      ),
    });
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 20 }), (spans) => {
        const lines = spans.map(
          ({ parent, start, length, words }, i) =>
            `s${parent % 4} op ${start}..${start + length} ${words} id=${i + 1} parent=${i === 0 ? "none" : 1 + (parent % i)}`,
        );
        const trace = traceOf(lines.join("\n"));
        const shares = new Map<number, number>();
        for (const { failure, share } of failureOrigins(trace, () => null))
          shares.set(failure, (shares.get(failure) ?? 0) + share);
        for (const sum of shares.values()) expect(sum).toBeCloseTo(1, 9);
        for (const root of trace.roots) expect(shares.has(root)).toBe(trace.spans[root]!.failed);
      }),
    );
  });
});
