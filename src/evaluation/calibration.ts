import { meanOf } from "./statistics.ts";

/** One answer: how sure it was, and whether it was right (0..1). */
export interface SureAnswer {
  readonly confidence: number;
  readonly right: number;
}

interface ReliabilityBin {
  /** confidences from `from` up to `to`; the last bin includes 1 */
  readonly from: number;
  readonly to: number;
  readonly answers: number;
  readonly confidence: number;
  readonly accuracy: number;
}

export interface Calibration {
  /** expected calibration error: by how much confidence and accuracy differ in the bins, weighted by their answers */
  readonly ece: number;
  /** bins that have answers */
  readonly bins: readonly ReliabilityBin[];
  /** accuracy where only the surest 80 % had been answered */
  readonly accuracy_at_coverage: number;
}

const binCount = 10;
const coverage = 0.8;

/** Whether confidence means what it says. null = no answers. */
export function calibrationOf(answers: readonly SureAnswer[]): Calibration | null {
  if (answers.length === 0) return null;
  const bins: ReliabilityBin[] = [];
  for (let i = 0; i < binCount; i += 1) {
    const inside = answers.filter(({ confidence }) => binOf(confidence) === i);
    if (inside.length === 0) continue;
    bins.push({
      from: i / binCount,
      to: (i + 1) / binCount,
      answers: inside.length,
      confidence: meanOf(inside.map(({ confidence }) => confidence)),
      accuracy: meanOf(inside.map(({ right }) => right)),
    });
  }
  const ece = bins.reduce(
    (sum, bin) => sum + (bin.answers / answers.length) * Math.abs(bin.confidence - bin.accuracy),
    0,
  );
  return { ece, bins, accuracy_at_coverage: accuracyOfSurest(answers, coverage) };
}

function binOf(confidence: number): number {
  return Math.min(binCount - 1, Math.max(0, Math.floor(confidence * binCount)));
}

/** Of answers that are equally sure where the line is drawn, each counts in part. */
function accuracyOfSurest(answers: readonly SureAnswer[], share: number): number {
  const wanted = Math.max(1, Math.round(answers.length * share));
  const line = answers.map(({ confidence }) => confidence).sort((a, b) => b - a)[wanted - 1] ?? 0;
  const surer = answers.filter(({ confidence }) => confidence > line);
  const equal = answers.filter(({ confidence }) => confidence === line);
  const right = surer.reduce((sum, each) => sum + each.right, 0);
  return (right + (wanted - surer.length) * meanOf(equal.map((each) => each.right))) / wanted;
}
