import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ExactSum } from "../../src/base/exact-sum.ts";
import { restored, snapshotOf } from "../../src/base/snapshot.ts";

const factor = fc.oneof(fc.nat(5_000), fc.maxSafeNat());

test("sums of products are exact, small or large", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(factor, factor, factor)), (all) => {
      const [sum, other] = [new ExactSum(), new ExactSum()];
      for (const [a, b, c] of all) (a % 2 === 0 ? sum : other).addProduct(a, b, c);
      sum.addSum(other);
      const exact = all.reduce((total, [a, b, c]) => total + BigInt(a) * BigInt(b) * BigInt(c), 0n);
      expect(sum.value).toBe(exact);
      const copy = restored(new ExactSum(), snapshotOf(sum));
      copy.addProduct(-7, 3);
      expect(copy.value).toBe(exact - 21n);
    }),
  );
});
