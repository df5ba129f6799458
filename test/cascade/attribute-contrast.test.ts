import { describe, expect, test } from "vitest";
import { contrastFacts } from "../../src/cascade/attribute-contrast.ts";
import type { ContrastFact } from "../../src/cascade/candidate.ts";
import { directoryOf, tableOf } from "../notation.ts";
import { tracesText, visitSumsOf, visitSumsOfTable } from "../visit-sums.ts";

interface Request {
  /** words of the notation for the served span */
  readonly words: string;
  readonly ms?: number;
  readonly failed?: boolean;
}

function textOf(count: number, requestOf: (i: number) => Request): string {
  return tracesText(count, (i) => {
    const { words, ms = 10 + (i % 7), failed = false } = requestOf(i);
    return `
web    GET /cart   0..${ms + 10}ms  server TRACE
  cart GET /items  5..${ms + 5}ms   server ${words} ${failed ? "error" : ""}`;
  });
}

const versionOf = (i: number): string => (i % 3 === 0 ? "2.4.1" : "2.4.0");
const instanceOf = (i: number): string => `cart-${i % 3}`;
const healthy = textOf(240, (i) => ({ words: `version=2.4.0 instance=${instanceOf(i)}` }));

function onlyWhere(before: string, after: string): ContrastFact | null {
  const facts = contrastFacts("cart", visitSumsOf(before), visitSumsOf(after));
  return facts.find((fact) => fact.kind === "only_where") ?? null;
}

/** `service.version=2.4.1 (= service.instance.id=cart-0) and …: bad/of, bad/of others` */
function checkOnlyWhere(requestOf: (i: number) => Request, expected: string | null, before = healthy): void {
  const fact = onlyWhere(before, textOf(240, requestOf));
  if (fact === null) {
    expect(fact).toBe(expected);
    return;
  }
  const where = fact.where.map(({ key, value, alike }) => {
    const same = alike.map((each) => `${each.key}=${each.value}`).join(", ");
    return `${key}=${value}${same === "" ? "" : ` (= ${same})`}`;
  });
  const { inside, others } = fact;
  const figures = `${inside.count}/${inside.of}, ${others.count}/${others.of} others`;
  expect(`${where.join(" and ")}: ${fact.trouble} ${figures}`).toBe(expected);
}

describe("requests in trouble have in common", () => {
  test("a version that fails, whichever instance serves it", () => {
    checkOnlyWhere(
      (i) => ({
        words: `version=${versionOf(i)} instance=cart-${i % 2}`,
        failed: i % 3 === 0 && i % 2 === 0,
      }),
      "service.version=2.4.1 and service.instance.id=cart-0: failed 40/40, 0/200 others",
    );
    checkOnlyWhere(
      (i) => ({ words: `version=${versionOf(i)} instance=cart-${i % 2}`, failed: i % 3 === 0 && i % 5 < 3 }),
      "service.version=2.4.1: failed 48/80, 0/160 others",
    );
  });

  test("an instance that is slow, with the host that is not to be told from it", () => {
    checkOnlyWhere(
      (i) => ({
        words: `version=2.4.0 instance=${instanceOf(i)} host=n${i % 3}`,
        ...(i % 3 === 1 ? { ms: 400 } : {}),
      }),
      "service.instance.id=cart-1 (= host.name=n1): slow 80/80, 0/160 others",
    );
  });

  test("a tenant, by whatever attribute names it", () => {
    checkOnlyWhere(
      (i) => ({ words: `version=2.4.0 app.tenant.id=t${i % 4}`, failed: i % 4 === 2 }),
      "app.tenant.id=t2: failed 60/60, 0/180 others",
    );
  });

  test("nothing, where every version fails alike, or too few requests tell", () => {
    checkOnlyWhere((i) => ({ words: `version=${versionOf(i)}`, failed: i % 10 === 0 }), null);
    checkOnlyWhere((i) => ({ words: i < 3 ? "version=2.4.1" : "version=2.4.0", failed: i < 3 }), null);
  });

  test("nothing, where a value names single requests, or the error itself", () => {
    checkOnlyWhere((i) => ({ words: `customer.id=c${i}`, failed: i % 2 === 0 }), null);
    checkOnlyWhere((i) => ({ words: `error.type=E${i % 2}`, failed: i % 2 === 0 }), null);
  });
});

test("it is known of a version whether it is new, and what ran beside it", () => {
  const fact = onlyWhere(
    healthy,
    textOf(240, (i) => ({ words: `version=${versionOf(i)}`, failed: i % 3 === 0 })),
  );
  expect(fact?.where[0]).toMatchObject({ value: "2.4.1", otherValue: "2.4.0", isNew: true });
  expect(fact?.traceIds).toEqual([1, 4, 7].map((id) => id.toString(16).padStart(32, "0")));
});

test("an instance that went silent is told, unless a new one took its place", () => {
  const goneAs = (words: (i: number) => string): unknown =>
    contrastFacts("cart", visitSumsOf(healthy), visitSumsOf(textOf(240, (i) => ({ words: words(i) }))));
  expect(goneAs((i) => `version=2.4.0 instance=cart-${i % 2}`)).toEqual([
    {
      kind: "gone_instance",
      instance: "cart-2",
      before: { count: 80, of: 240 },
      after: { count: 0, of: 240 },
    },
  ]);
  expect(goneAs((i) => `version=2.4.0 instance=${["cart-0", "cart-1", "cart-9"][i % 3]}`)).toEqual([]);
});

test("an attribute with very many values is left out, in whatever order they come", () => {
  const text = textOf(240, (i) => ({ words: `version=${versionOf(i)} tenant=t${i % 150}` }));
  const table = tableOf(text);
  const splitsOf = (isReversed: boolean): readonly string[] => {
    const { attributesOf, visits } = visitSumsOfTable(table, directoryOf([table]), { isReversed });
    const sets = [...new Set(visits.split)].map((split) => JSON.stringify(attributesOf(split)));
    return [...new Set(sets)].sort();
  };
  expect(splitsOf(false)).toEqual([
    "[]",
    '[{"key":"service.version","value":"2.4.0"}]',
    '[{"key":"service.version","value":"2.4.1"}]',
  ]);
  expect(splitsOf(true)).toEqual(splitsOf(false));
});
