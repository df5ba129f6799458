import { expect, test } from "vitest";
import { hasRequestFailed } from "./difference.ts";
import { hasEnded, type Recording } from "./recording.ts";
import { lengthOf, smallCase } from "./seen.ts";
import { impactOf } from "./truth.ts";

const error = smallCase("error", 4);

test("a run compared with itself has no impact", () => {
  const { faultFree } = error;
  expect(impactOf(faultFree, faultFree, [])).toMatchObject({
    visibility: "silent",
    loudness: "II",
    loudest: null,
    failedRequests: 0,
    touchedRequests: 0,
    trafficShare: 0,
    addedMsMean: 0,
    affected: [],
    edges: [],
  });
});

test("only requests in which the culprit failed, or an open breaker kept them from it, count as failed because of it", () => {
  const { incident, faultFree, impact, scenario } = error;
  const [cause] = scenario.causes;
  const failsBefore = new Set(faultFree.requests.filter(hasRequestFailed).map(({ label }) => label));
  const failed = usersOf(incident).filter(
    (request) => hasRequestFailed(request) && !failsBefore.has(request.label),
  );
  const met = new Set(
    incident.spans
      .filter(({ failure, instance, withheld }) => {
        // breakers of callers further up open too
        return withheld !== null || (failure !== null && instance.service.name === cause?.name);
      })
      .map(({ request }) => request.label),
  );
  expect(impact?.failedRequests).toBe(failed.length);
  expect(failed.length).toBeGreaterThan(5);
  expect(failed.map(({ label }) => label).filter((label) => !met.has(label))).toEqual([]);
});

test("added time is that of the same requests without the fault", () => {
  const { incident, faultFree, impact } = smallCase("latency", 4);
  const before = new Map(usersOf(faultFree).map((request) => [request.label, request.root]));
  const added = usersOf(incident).flatMap(({ label, root }) => {
    const twin = before.get(label);
    return twin && root && hasEnded(twin) && hasEnded(root) ? [lengthOf(root) - lengthOf(twin)] : [];
  });
  expect(impact?.addedMsMean).toBeCloseTo(added.reduce((a, b) => a + b, 0) / added.length, 6);
  expect(impact?.addedMsMean).toBeGreaterThan(5);
  expect(Math.min(...added)).toBeGreaterThan(-1000);
});

test("nothing is affected before the fault begins", () => {
  const others = ["db_slow", "crash", "dns"].map((faultType) => smallCase(faultType, 4));
  for (const { impact, onsetMs } of [error, ...others]) {
    // a request in flight at the onset may have begun before
    const earliest = (onsetMs ?? 0) - 5000;
    for (const { firstMs } of [...(impact?.affected ?? []), ...(impact?.edges ?? [])])
      expect(firstMs).toBeGreaterThan(earliest);
  }
});

test("a failure travels from the culprit to its callers", () => {
  const { impact, scenario } = error;
  const [cause] = scenario.causes;
  expect(impact?.edges.some(({ callee, mechanism }) => callee === cause?.name && mechanism === "error")).toBe(
    true,
  );
  expect(impact?.edges.some(({ caller }) => caller === cause?.name)).toBe(false);
});

test("of two faults each is told alone", () => {
  const { impact, impactOfCause } = smallCase("two_faults");
  const [first, second] = impactOfCause;
  expect(first!.failedRequests).toBeGreaterThan(0);
  expect(second!.addedMsMean).toBeGreaterThan(first!.addedMsMean);
  expect(impact!.touchedRequests).toBeGreaterThanOrEqual(
    Math.max(first!.touchedRequests, second!.touchedRequests),
  );
});

function usersOf({ requests }: Recording) {
  return requests.filter(({ kind }) => kind === "user");
}
