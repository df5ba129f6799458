import { type Attributes, textOf } from "../model/attributes.ts";
import { metricValueMax } from "../model/limits.ts";
import { cpuModeKeys, cpuNumberKeys, type MetricRule } from "../model/metric-names.ts";
import type { MetricPoint } from "../model/telemetry.ts";
import type { CpuModeValue } from "./resource-health.ts";

/** Whether a rule is about the series with these attributes. */
export function isSelected({ only }: MetricRule, attributes: Attributes): boolean {
  if (only === undefined) return true;
  const given = only.keys.filter((key) => attributes.has(key));
  return given.length === 0 || given.some((key) => only.values.includes(textOf(attributes.get(key))));
}

export function modeOf(attributes: Attributes): CpuModeValue {
  const first = (keys: readonly string[]): string =>
    keys.map((key) => textOf(attributes.get(key))).find((text) => text !== "") ?? "";
  return { mode: first(cpuModeKeys), cpu: first(cpuNumberKeys) };
}

/** Attributes as text, whatever their order. */
export function labelsOf(attributes: Attributes): string {
  return [...attributes]
    .map(([key, value]) => `${key}=${textOf(value)}`)
    .sort()
    .join("\u0000");
}

/** `level` = a value of now, `counter` = counts up from its start, `delta` = what was added since the point before */
export type ReadingKind = "level" | "counter" | "delta";

export interface MetricReading {
  readonly kind: ReadingKind;
  readonly value: number;
}

/** Null for what is no number of now or a count: histograms, values marked as missing, and those that cannot be (below 0, absurd). */
export function readingOf({ value, unit }: MetricPoint): MetricReading | null {
  if (
    (value.kind !== "gauge" && value.kind !== "sum") ||
    !(value.value >= 0 && value.value <= metricValueMax)
  )
    return null;
  const scaled = unit === "%" || unit === "percent" ? value.value / 100 : value.value;
  if (value.kind === "gauge") return { kind: "level", value: scaled };
  if (value.temporality === "delta") return { kind: "delta", value: scaled };
  return { kind: value.isMonotonic ? "counter" : "level", value: scaled };
}
