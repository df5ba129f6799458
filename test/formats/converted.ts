import type { ByteSource } from "../../src/formats/byte-source.ts";
import {
  type ConvertSummary,
  convertTelemetry,
  type WrittenFormat,
} from "../../src/formats/write-telemetry.ts";

export interface Converted {
  readonly bytes: Buffer;
  readonly summary: ConvertSummary;
}

/** Telemetry in another format, with a budget that lets larger inputs spill. */
export async function converted(
  inputs: readonly (string | ByteSource)[],
  format: WrittenFormat,
  memoryBudgetBytes = 1 << 24,
): Promise<Converted> {
  const parts: Uint8Array[] = [];
  const summary = await convertTelemetry(inputs, async (part) => void parts.push(Buffer.from(part)), {
    format,
    signals: ["traces", "metrics", "logs"],
    memoryBudgetBytes,
    onReadProgress: () => {},
    onWriteProgress: () => {},
    onProblem: () => {},
  });
  return { bytes: Buffer.concat(parts), summary };
}
