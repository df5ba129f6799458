import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { traceEvidence } from "../../src/cascade/trace-evidence.ts";
import { Usual } from "../../src/cascade/usual.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { failureOrigins } from "../../src/trace/error-origin.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { rollupOf } from "../scopes.ts";
import { candidatesOf, causeOf, evidenceOf, times } from "./evidence-of.ts";

/** Twenty-five good requests of the shop, to know what is usual. */
const usual = `\n${times(
  25,
  `
  web    GET /cart   0..90ms  server
    web  GET         5..85ms  client
      cart GET /items 10..80ms server`,
)}`;

test("failures side by side share the blame", () => {
  expect(
    candidatesOf(`
      web    GET /   0..90ms  server error
        a    GET     5..80ms  server error
        b    GET     5..79ms  server error`),
  ).toEqual(["a error 0.50", "b error 0.50"]);
});

test("a failure that a retry made good never outranks a visible one", () => {
  const [first, second] = candidatesOf(`
      web     GET /   0..90ms   server error
        cart  GET     1..20ms   server
          cart GET    2..5ms    client error peer.service=flaky http.response.status_code=503
          cart GET    6..19ms   client peer.service=flaky
        web   GET    21..80ms   client error peer.service=broken http.response.status_code=500`);
  expect([first, second]).toEqual(["broken error 0.94", "flaky error 0.06"]);
});

test("scores of the candidates add up to one", () => {
  const { candidates } = evidenceOf(`
      web    GET /   0..90ms  server error
        a    GET     5..80ms  server error
        b    GET     5..79ms  server error
        web  GET     6..7ms   client error peer.service=c`);
  expect(candidates.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 12);
});

test("a slow request is compared with what is usual, and only what grew is blamed", () => {
  const slow = `
  web    GET /cart   0..990ms  server trace=1
    web  GET         5..985ms  client
      cart GET /items 10..980ms server`;
  const { candidates, usualRoot } = evidenceOf(slow + usual);
  expect(usualRoot).toEqual({ nanos: 90_000_000, isTypical: true });
  expect(candidates.map(({ service, kind }) => [service, kind])[0]).toEqual(["cart", "latency"]);
});

test("a request that takes what it always takes is told where its time went, with next to no confidence", () => {
  const { candidates, confidence } = evidenceOf(usual);
  expect(candidates.map(({ service, kind }) => `${service} ${kind}`)).toEqual([
    "cart latency",
    "web latency",
  ]);
  expect(confidence).toBeLessThanOrEqual(0.1);
});

test("a request with nothing to compare it with is told where its time went", () => {
  const { candidates, confidence, usualRoot } = evidenceOf(`
    web    GET /     0..90ms  server
      cart GET       5..80ms  server
        web2 GET    10..20ms  server`);
  expect(usualRoot).toBeNull();
  expect(candidates[0]?.service).toBe("cart");
  expect(confidence).toBeLessThanOrEqual(0.3);
});

test("one trace alone is never certain; a scope that shows the same makes it surer", () => {
  const failed = (trace: number): string => `
  web    GET /cart   0..90ms   server error trace=${trace}
    cart GET /items  5..80ms   server error`;
  expect(evidenceOf(failed(1)).confidence).toBe(0.6);
  const often = Array.from({ length: 30 }, (_, i) => failed(i + 1)).join("");
  expect(evidenceOf(often).confidence).toBe(0.9);
});

test("missing spans speak against, and lower confidence", () => {
  const { candidates, confidence } = evidenceOf(`
      web    GET /   0..90ms  server error
        cart GET     5..80ms  server error
      mail   POST   10..20ms  server parent=99`);
  expect(candidates[0]?.evidence.map(({ kind }) => kind)).toContain("incomplete_trace");
  expect(confidence).toBeLessThan(0.6);
});

test("the way of a failure is told from its origin up", () => {
  const { propagation } = evidenceOf(`
      web      GET /      0..900ms  server error
        web    GET        1..890ms  client error error.type=timeout
          cart GET       10..2000ms server
            db  query    20..1900ms server`);
  expect(propagation.map(({ caller, callee, mechanism }) => [caller, callee, mechanism])).toEqual([
    ["cart", "db", "slow"],
    ["web", "cart", "timeout"],
  ]);
});

test("where no kinds are marked, local work that only has another service work is the call to it", () => {
  expect(
    candidatesOf(`
      web      GET /   0..90ms
        web    fetch   1..89ms
          cart GET    40..45ms`)[0],
  ).toBe("cart network 1.00");
});

describe("what is usual", () => {
  const request = (cartMs: number): string => `
  web    GET /   0..${cartMs + 20}ms  server
    cart GET     5..${cartMs + 5}ms   server
      db query  10..15ms  server`;

  test("where most of the scope is slow, its fastest quarter tells what is", () => {
    const text = `${times(1, request(900), 1)}${times(16, request(890))}${times(10, request(30), 200)}`;
    const { usualRoot, candidates } = evidenceOf(text);
    expect(usualRoot).toEqual({ nanos: 50_000_000, isTypical: false });
    expect(candidates[0]?.service).toBe("cart");
  });

  test("where all of the scope is slow, nothing is unusual; a baseline knows better", () => {
    const slow = `${times(1, request(900), 1)}${times(30, request(890))}`;
    const healthy = times(10, request(30));
    expect(evidenceOf(slow).confidence).toBeLessThanOrEqual(0.1);
    expect(evidenceOf(slow, healthy).usualRoot).toEqual({ nanos: 50_000_000, isTypical: true });
    expect(evidenceOf(slow, healthy).confidence).toBeGreaterThan(0.7);
    expect(causeOf(slow, healthy)).toBe("cart latency");
  });

  test("what always takes most of the time is not the cause of a slow request", () => {
    const report = (dbMs: number, cartMs: number): string => `
  web      GET /report   0..${500 + dbMs + cartMs}ms server
    web    render        0..400ms
    cart   GET         400..${400 + dbMs + cartMs}ms server
      db   query       401..${401 + dbMs}ms server`;
    expect(causeOf(times(1, report(300, 5), 1), times(20, report(10, 5)))).toBe("db latency");
    expect(causeOf(times(1, report(10, 300), 1), times(20, report(10, 5)))).toBe("cart latency");
  });
});

describe("time that is lost between two services", () => {
  /** `gap` = where the callee lies in a call of 210 ms. */
  const call = (caller: string, callee: string, at: number, gap: "before" | "after" | "none"): string => {
    const length = gap === "none" ? 10 : 210;
    const start = gap === "before" ? at + 201 : at + 1;
    return `
    ${caller}   GET         ${at}..${at + length}ms client
      ${callee} GET /${callee} ${start}..${start + 8}ms server`;
  };

  test("a request that arrives late is the caller's: it was sent late", () => {
    expect(causeOf(`web GET / 0..230ms server${call("web", "cart", 5, "before")}`)).toBe("web network");
  });

  test("an answer that arrives late is the callee's", () => {
    expect(causeOf(`web GET / 0..230ms server${call("web", "cart", 5, "after")}`)).toBe("cart network");
  });

  test("where clocks do not tell and nothing else does either, the callee is named, with the doubt", () => {
    const { candidates } = evidenceOf(`
      web    GET /  0..230ms server
        web  GET    5..215ms client host=a
          cart GET 300..308ms server host=b`);
    expect(candidates[0]).toMatchObject({
      service: "cart",
      kind: "network",
      edge: { caller: "web", callee: "cart" },
    });
    expect(candidates[0]?.evidence.map(({ kind }) => kind)).toContain("either_end");
  });

  test("a callee that others reach late too is to blame, even for requests that arrive late", () => {
    const text = `
  web      GET /    0..460ms server${call("web", "a", 0, "none")}${call("web", "cart", 10, "before")}
    web    GET    220..460ms client
      c    GET /c 221..459ms server${call("    c", "    a", 222, "none")}
        c  GET    235..445ms client
          cart GET /cart 436..444ms server`;
    expect(causeOf(text)).toBe("cart network");
  });

  test("a caller whose calls are all late is to blame, even for answers that arrive late", () => {
    const calls = ["a", "b", "cart"].map((callee, i) => call("web", callee, i * 210, "after"));
    expect(causeOf(`web GET / 0..630ms server${calls.join("")}`)).toBe("web network");
  });

  test("surroundings in which everything is late do not make a late connection look in order", () => {
    const calls = ["a", "b", "b", "b"].map((callee, i) => call("web", callee, i * 210, "before"));
    const page = `web GET / 0..850ms server${calls.join("")}`;
    expect(causeOf(times(30, page, 1))).toBe("web network");
    expect(evidenceOf(times(30, page, 1)).candidates).toHaveLength(1);
  });

  test("the gap that a connection always has is not unusual", () => {
    const page = (dbMs: number): string =>
      `web GET / 0..${300 + dbMs}ms server${call("web", "cart", 5, "after")}
    db   query 220..${220 + dbMs}ms server`;
    expect(causeOf(times(1, page(60), 1), times(20, page(5)))).toBe("db latency");
  });
});

describe("a failure and slowness in one trace", () => {
  const checkout = ({ cartMs, failed }: { readonly cartMs: number; readonly failed: boolean }): string => `
  web    GET /    0..${cartMs + 30}ms server${failed ? " error" : ""}
    cart GET      1..${cartMs}ms server
    mail POST     ${cartMs + 5}..${cartMs + 20}ms server${failed ? " error" : ""}`;
  const good = times(20, checkout({ cartMs: 20, failed: false }));

  test("what made the request fail comes first, what made it slow is listed beside it", () => {
    const candidates = candidatesOf(times(1, checkout({ cartMs: 900, failed: true }), 1), good);
    expect(candidates.map((each) => each.replace(/ [\d.]+$/, ""))).toEqual(["mail error", "cart latency"]);
  });

  test("a failure that a healthy time shows as often does not explain a slow request", () => {
    const background = times(20, checkout({ cartMs: 20, failed: true }));
    const { candidates } = evidenceOf(times(1, checkout({ cartMs: 900, failed: true }), 1), background);
    expect(candidates.map(({ service }) => service)).toEqual(["cart", "mail"]);
    expect(candidates[1]?.evidence.map(({ kind }) => kind)).toContain("usual_failure");
  });

  test("a failed request that is as fast as ever has no latency candidate", () => {
    expect(candidatesOf(times(1, checkout({ cartMs: 20, failed: true }), 1), good)).toEqual([
      "mail error 1.00",
    ]);
  });

  test("a timeout is told once: by who was waited for in vain", () => {
    const { candidates } = evidenceOf(
      `
      web    GET /  0..1000ms server error trace=1
        web  POST   5..995ms  client error peer.service=bank error.type=timeout server.address=bank.example server.port=443`,
      times(
        20,
        `
      web    GET /  0..50ms server
        web  POST   5..45ms client peer.service=bank`,
      ),
    );
    expect(candidates.map(({ service, kind }) => `${service} ${kind}`)).toEqual(["bank latency"]);
    expect(candidates[0]?.evidence).toMatchObject([
      { kind: "origin", usual: { nanos: 40_000_000 }, address: "bank.example:443" },
    ]);
  });
});

test("the order of spans changes nothing", () => {
  const text = `
    web      GET /      0..900ms  server error
      web    GET        1..890ms  client error error.type=timeout
        cart GET       10..2000ms server
          db  query    20..1900ms server
      web    GET      891..899ms  client
        mail POST     893..895ms  server`;
  const table = tableOf(text);
  const rollup = rollupOf(text);
  const scope = rollup.scope(null);
  const usualTimes = new Usual(scope, null);
  const answer = (rows: ReturnType<typeof rowsOf>): unknown => {
    const trace = assembleTrace(rows, scope.directory);
    const { candidates, confidence } = traceEvidence({
      trace,
      isComplete: true,
      origins: failureOrigins(trace, () => null),
      linked: [],
      scope,
      usual: usualTimes,
    });
    return { candidates, confidence };
  };
  const expected = answer(rowsOf(table));
  fc.assert(
    fc.property(fc.shuffledSubarray(rowsOf(table), { minLength: table.rowCount }), (rows) => {
      expect(answer(rows)).toEqual(expected);
    }),
  );
});
