/** Nanoseconds for people, with three significant digits: "812 ns", "45.2 µs", "340 ms", "2.31 s", "3.5 min". */
export function formatDuration(nanos: number): string {
  if (nanos < 1000) return `${Math.round(nanos)} ns`;
  if (nanos < 999_500) return `${threeDigits(nanos / 1000)} µs`;
  if (nanos < 999_500_000) return `${threeDigits(nanos / 1_000_000)} ms`;
  if (nanos < 119_500_000_000) return `${threeDigits(nanos / 1_000_000_000)} s`;
  return `${threeDigits(nanos / 60_000_000_000)} min`;
}

/** A ratio for people: "0 %", "<0.1 %", "0.4 %", "15 %", "100 %". What is not nothing never reads as 0, nor what is not all as 100. */
export function formatPercent(ratio: number): string {
  const percent = ratio * 100;
  if (percent > 0 && percent < 0.05) return "<0.1 %";
  if (percent > 99.5 && percent < 100) return ">99 %";
  return `${percent >= 9.95 ? Math.round(percent) : threeDigits(Math.round(percent * 10) / 10)} %`;
}

/** A number of things for people: "1,200". */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A figure of any unit for people, with three significant digits where it is small: "0.25", "1.5", "48,200". */
export function formatAmount(value: number): string {
  return value < 1000 ? threeDigits(value) : formatCount(value);
}

function threeDigits(value: number): string {
  return String(Number(value.toPrecision(3)));
}
