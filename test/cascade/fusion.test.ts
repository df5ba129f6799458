import { expect, test } from "vitest";
import { fuse } from "../../src/cascade/fusion.ts";
import type { SignalFindings } from "../../src/cascade/signals.ts";

function findings(strengths: Readonly<Record<string, number>>): SignalFindings {
  return new Map(
    Object.entries(strengths).map(([service, strength]) => [
      service,
      { service, strength, kind: "error", operation: null, instance: null, edge: null, evidence: [] },
    ]),
  );
}

test("independent reasons add up, and the loudest service of a signal gets most of it", () => {
  const fused = fuse({
    latency: findings({ cart: 0.9, web: 0.3 }),
    logs: findings({ cart: 30, web: 10 }),
    metrics: findings({ cart: 0.48 }),
  });
  expect(fused.map(({ service, score }) => [service, Number(score.toFixed(6))])).toEqual([
    ["cart", 0.968099],
    ["web", 0.321143],
  ]);
  expect(fused[0]?.terms.map(({ signal, part }) => [signal, Number(part.toFixed(6))])).toEqual([
    ["latency", 0.757895],
    ["metrics", 0.670588],
    ["logs", 0.6],
  ]);
});

test("equal scores go by name, and what stands for many others is no candidate", () => {
  const fused = fuse({ errors: findings({ web: 0.1, cart: 0.1, __other__: 0.1 }) });
  expect(fused.map(({ service }) => service)).toEqual(["cart", "web"]);
});
