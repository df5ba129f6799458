import { closeSync, fstatSync, openSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, RestoredBody } from "../../engine/ports.ts";
import { meaningfulAttributes } from "../../model/semconv.ts";
import { MalformedBodyError } from "../../model/telemetry.ts";
import { decodeBody, newTableFor } from "../../otlp/decode-body.ts";
import type { Losses } from "./losses.ts";
import { SegmentScanner, type StoredRecord } from "./record.ts";
import { isZlibError, plainBodyOf } from "./sealing.ts";
import { ageMsOf, isFileError, type Place, type Segment } from "./segmented-log.ts";

export interface RestoreLimits {
  /** the newest segments that have no more than this together are read */
  readonly bytesMax: number;
  /** and were written to so lately, by the clock */
  readonly ageMsMax: number;
  readonly clock: Clock;
  /** these are read in any case */
  readonly isWanted: (segment: Segment) => boolean;
  readonly losses: Losses;
}

/** Bodies of the newest segments, oldest first; what is damaged is noted. Others have their turn after each. */
export async function* restoredBodies(
  segments: readonly Segment[],
  limits: RestoreLimits,
): AsyncGenerator<RestoredBody & { readonly place: Place }> {
  for (const segment of newestOf(segments, limits)) {
    if (segment.isGone) continue;
    try {
      yield* bodiesOf(segment, limits.losses);
    } catch (error) {
      if (!isFileError(error)) throw error;
      limits.losses.noteUnreadable(segment, error);
    }
  }
}

async function* bodiesOf(
  segment: Segment,
  losses: Losses,
): AsyncGenerator<RestoredBody & { readonly place: Place }> {
  const fd = openSync(segment.path, "r");
  try {
    const scanner = new SegmentScanner(fd, fstatSync(fd).size, segment.mark);
    for (let record = scanner.next(); record !== null; record = scanner.next()) {
      const decoded = decode(segment, record);
      const { head, offset } = record;
      if (decoded !== null) yield { decoded, arrivalTime: head.arrivalTime, place: { segment, offset } };
      await nextTurn();
    }
    losses.note(segment, scanner.loss);
  } finally {
    closeSync(fd);
  }
}

function newestOf(
  segments: readonly Segment[],
  { bytesMax, ageMsMax, clock, isWanted }: RestoreLimits,
): readonly Segment[] {
  let bytes = 0;
  const chosen: Segment[] = [];
  for (const segment of segments.toReversed()) {
    bytes += segment.bytes;
    const isNewest = bytes <= bytesMax && ageMsOf(segment, clock) <= ageMsMax;
    if (isNewest || isWanted(segment)) chosen.push(segment);
  }
  return chosen.reverse();
}

/** null = it cannot be read any more, though it could when it came in */
function decode({ signal }: Segment, { head, body }: StoredRecord): RestoredBody["decoded"] | null {
  const { encoding } = head;
  try {
    const plain = plainBodyOf(head, body);
    const table = signal === "traces" ? newTableFor(encoding, plain, meaningfulAttributes) : undefined;
    return decodeBody(signal, encoding, plain, table).decoded;
  } catch (error) {
    if (error instanceof MalformedBodyError || isZlibError(error)) return null;
    throw error;
  }
}
