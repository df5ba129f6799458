import { describe, expect, test } from "vitest";
import { causeOf, evidenceOf, times } from "./evidence-of.ts";

const order = `
  web     POST /orders  0..90ms  server
    web   POST          1..80ms  client
      shop POST /orders 2..79ms  server
        shop validate   3..5ms   internal
        shop charge     6..30ms  client
          pay POST /pay 7..29ms  server
        shop send      40..41ms  producer messaging.system=kafka messaging.destination.name=orders
          mail work    45..60ms  consumer
        shop INSERT    50..60ms  client db.system=postgresql db.namespace=orders`;

const many = `\n${times(40, order)}`;

/** One order, trace 1, without the lines that hold any of some words. */
function orderWithout(...words: readonly string[]): string {
  const kept = order.split("\n").filter((line) => !words.some((word) => line.includes(word)));
  return kept.join("\n");
}

/** The facts about what was left out, as `who operation: what (shown of compared)`. */
function leftOut(text: string, baseline: string | null = null): readonly string[] {
  return evidenceOf(text, baseline).candidates.flatMap(({ evidence }) =>
    evidence.flatMap((fact) =>
      fact.kind === "missing_step"
        ? [
            `${fact.service} ${fact.operation}: ${fact.callee} ${fact.name} (${fact.shown} of ${fact.compared})`,
          ]
        : [],
    ),
  );
}

describe("a step that silently did not happen", () => {
  test("a call: the service that no longer makes it", () => {
    const text = orderWithout("charge", "POST /pay") + many;
    expect(causeOf(text)).toBe("shop missing_call");
    expect(leftOut(text)).toEqual(["shop POST /orders: pay POST /pay (40 of 41)"]);
  });

  test("a call to a database", () => {
    expect(causeOf(orderWithout("INSERT") + many)).toBe("shop missing_call");
  });

  test("local work", () => {
    const text = orderWithout("validate") + many;
    expect(causeOf(text)).toBe("shop missing_call");
    expect(leftOut(text)).toEqual(["shop POST /orders:  validate (40 of 41)"]);
  });

  test("a message: who does not send it, or who does not work on it", () => {
    const unsent = orderWithout("shop send", "mail work") + many;
    expect(causeOf(unsent)).toBe("shop missing_call");
    expect(leftOut(unsent)).toEqual(["shop POST /orders: kafka:orders send (40 of 41)"]);
    expect(causeOf(orderWithout("mail work") + many)).toBe("mail missing_call");
  });

  test("a baseline tells alone", () => {
    expect(causeOf(orderWithout("charge", "POST /pay"), many)).toBe("shop missing_call");
    expect(leftOut(orderWithout("INSERT"), many)).toEqual(["shop POST /orders: orders INSERT (40 of 40)"]);
  });

  test("what the services above left out follows from what those below did", () => {
    const deep = (calls: string): string => `
  web      GET /        0..90ms  server
    cart   GET /items   1..40ms  server
${calls}`;
    const whole = deep(`      cart SELECT       2..30ms  client db.system=mysql db.namespace=carts
    mail   POST /mail  50..60ms  server`);
    const text = deep("") + times(40, whole);
    expect(leftOut(text)).toEqual(["cart GET /items: carts SELECT (40 of 41)"]);
  });

  test("certainty grows with the number of others that show the step", () => {
    const without = orderWithout("INSERT");
    const confidence = (others: number): number =>
      evidenceOf(without, times(others, order)).confidence as number;
    expect(confidence(20)).toBeLessThan(confidence(40));
    expect(confidence(40)).toBeLessThan(confidence(400));
    expect(confidence(400)).toBeGreaterThan(0.7);
  });
});

describe("nothing is missing", () => {
  test("where only most requests show it", () => {
    const others = times(30, order) + times(6, orderWithout("INSERT"), 500);
    expect(leftOut(orderWithout("INSERT"), others)).toEqual([]);
  });

  test("while spans may still arrive", () => {
    const { candidates } = evidenceOf(orderWithout("INSERT") + many, null, false);
    expect(candidates.map(({ kind }) => kind)).not.toContain("missing_call");
  });

  test("where too few are known", () => {
    expect(leftOut(orderWithout("INSERT"), times(19, order))).toEqual([]);
  });

  test("where the request failed, or something below it did", () => {
    const failed = orderWithout("shop send", "mail work", "INSERT").replace(
      "pay POST /pay 7..29ms  server",
      "pay POST /pay 7..29ms  server error",
    );
    expect(causeOf(failed + many)).toBe("pay error");
    expect(leftOut(failed + many)).toEqual([]);
  });

  test("where the request was refused or sent elsewhere", () => {
    for (const status of [302, 304, 400, 404]) {
      const refused = orderWithout("charge", "POST /pay", "send", "mail", "INSERT").replace(
        "shop POST /orders 2..79ms  server",
        `shop POST /orders 2..79ms  server http.response.status_code=${status}`,
      );
      expect(leftOut(refused + many)).toEqual([]);
    }
  });

  test("where the call is there and its other half is not", () => {
    expect(leftOut(orderWithout("POST /pay") + many)).toEqual([]);
    expect(
      leftOut(orderWithout("POST /pay").replace("client\n", "client peer.service=pay\n") + many),
    ).toEqual([]);
  });

  test("where the span came without its parent", () => {
    const orphan = `${orderWithout("charge", "POST /pay")}\n  pay POST /pay 7..29ms server parent=99`;
    expect(leftOut(orphan + many)).toEqual([]);
  });
});

describe("a breaker", () => {
  const failing = times(
    30,
    `
  shop  POST /orders  0..50ms  server error
    pay POST /pay     5..45ms  server error`,
    700,
  );
  const spared = (words: string): string => `
  web     POST /orders  0..5ms  server error
    web   POST          1..4ms  client error
      shop POST /orders 2..3ms  server ${words}
        shop validate   2..3ms  internal`;

  test("that spares the request a call: the failing callee behind it, then who failed", () => {
    const { candidates } = evidenceOf(spared("error") + many + failing, many);
    expect(candidates.map(({ service, kind }) => `${service} ${kind}`)).toEqual(["pay error", "shop error"]);
    expect(candidates[0]?.evidence.map(({ kind }) => kind)).toEqual([
      "missing_step",
      "origin",
      "scope_error_ratio",
    ]);
  });

  test("that is told by the failure itself", () => {
    const told = spared('error exception="CallNotPermittedException: CircuitBreaker is open"');
    const short = `
  web     POST /orders  0..90ms  server
    web   POST          1..80ms  client
      shop POST /orders 2..79ms  server
        shop validate   3..5ms   internal
        shop charge     6..30ms  client
          pay POST /pay 7..29ms  server`;
    expect(causeOf(told, times(30, short))).toBe("pay error");
  });

  test("that is told by name, though its callee is called by some requests only", () => {
    const told = spared('error exception="CallNotPermittedException: circuit breaker of pay is open"');
    const others = `${times(30, orderWithout("charge", "POST /pay"), 900)}\n`;
    expect(causeOf(`${told}\n${others}${many}`)).toBe("pay error");
    expect(causeOf(`${spared("error")}\n${others}${many}`)).toBe("shop error");
  });

  test("behind a fallback that answers without an error", () => {
    const text = orderWithout("charge", "POST /pay") + many + failing;
    expect(causeOf(text, many)).toBe("pay error");
  });

  test("is not guessed where the callee is well, or the failure took its time", () => {
    expect(causeOf(spared("error") + many, many)).toBe("shop error");
    const late = spared("error").replace("2..3ms  server error", "2..300ms  server error");
    expect(causeOf(late + many + failing, many)).toBe("shop error");
  });
});

describe("work that a hidden failure made necessary", () => {
  const hit = `
  web   GET /  0..10ms  server
    web GET    1..3ms   client db.system=redis db.namespace=cache`;
  const miss = `
  web   GET /  0..500ms  server
    web GET    1..3ms    client error db.system=redis db.namespace=cache error.type=ECONNREFUSED
    web SELECT 4..490ms  client db.system=mysql db.namespace=shop`;

  test("a cache that is down, and the database that answers in its stead: the cache", () => {
    const { candidates } = evidenceOf(`${miss}\n${times(30, hit)}`);
    expect(candidates.map(({ service, kind }) => `${service} ${kind}`)).toEqual(["cache unreachable"]);
    expect(candidates[0]?.evidence.map(({ kind }) => kind)).toEqual([
      "origin",
      "hidden",
      "instead",
      "scope_healthy",
    ]);
  });

  test("by way of another service", () => {
    const fallback = `
  web      GET /    0..500ms  server
    web    GET      1..3ms    client error peer.service=fast error.type=ECONNREFUSED
    web    GET      4..490ms  client
      slow GET /all 5..489ms  server`;
    const usual = `
  web      GET /    0..10ms   server
    web    GET      1..3ms    client
      fast GET /    1..3ms    server`;
    expect(causeOf(`${fallback}\n${times(30, usual)}`)).toBe("fast unreachable");
  });

  test("what most requests do anyway is slow by itself", () => {
    const both = hit
      .replace("0..10ms", "0..30ms")
      .concat("\n    web SELECT 4..24ms client db.system=mysql db.namespace=shop");
    expect(causeOf(`${miss}\n${times(30, both)}`)).toBe("shop latency");
  });

  test("what was done before the failure is not because of it", () => {
    const before = miss.replace("1..3ms ", "491..495ms ");
    expect(causeOf(`${before}\n${times(30, hit)}`)).toBe("shop latency");
  });
});
