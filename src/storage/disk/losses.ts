import type { Loss } from "./record.ts";
import type { Segment } from "./segmented-log.ts";
import type { IndexCounts } from "./trace-index.ts";

const itemNames = { traces: "spans", metrics: "metric data points", logs: "log records" } as const;

/** What disks have cost, by segment, so that a segment that is read twice counts once. */
export class Losses {
  readonly #bySegment = new Map<string, Loss>();
  readonly #onNotice: (message: string) => void;

  constructor(onNotice: (message: string) => void) {
    this.#onNotice = onNotice;
  }

  /** A whole segment was read. */
  note({ path, signal }: Segment, loss: Loss): void {
    const known = this.#bySegment.get(path);
    if (loss.bytes === 0 || (known !== undefined && !tellsMore(loss, known))) return;
    this.#bySegment.set(path, loss);
    const { records, items, bytes, tailBytes } = loss;
    const torn =
      tailBytes === 0
        ? ""
        : `, ${tailBytes} of them at its end, where the last write may not have come to its end`;
    this.#onNotice(
      `${path} is damaged: ${records} requests with ${items} ${itemNames[signal]} cannot be read; ${bytes} bytes are left aside${torn}`,
    );
  }

  /** A whole segment is not there any more; `counts` = what its index, which is, says of it. */
  noteMissing(indexPath: string, counts: IndexCounts | null): void {
    if (counts === null || counts.records === 0) return;
    const { records, items, bytes } = counts;
    this.#bySegment.set(indexPath, { records, items, bytes, tailBytes: 0 });
    this.#onNotice(
      `the segment beside ${indexPath} is gone: ${records} requests with ${items} spans cannot be read`,
    );
  }

  /** A segment cannot be read now; what of it is lost nobody knows. */
  noteUnreadable({ path }: Segment, { message }: Error): void {
    this.#onNotice(`${path} cannot be read; the next start tries again: ${message}`);
  }

  get total(): Loss {
    const total = { records: 0, items: 0, bytes: 0, tailBytes: 0 };
    for (const { records, items, bytes, tailBytes } of this.#bySegment.values()) {
      total.records += records;
      total.items += items;
      total.bytes += bytes;
      total.tailBytes += tailBytes;
    }
    return total;
  }
}

/** An index may know of more lost requests than the same bytes alone. */
function tellsMore(loss: Loss, known: Loss): boolean {
  if (loss.records !== known.records) return loss.records > known.records;
  return loss.bytes > known.bytes;
}
