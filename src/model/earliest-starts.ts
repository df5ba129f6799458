import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { earliestStartsMax } from "./limits.ts";
import { isEarlier, type MinuteTime } from "./time.ts";

/**
 * The earliest of many starts, also after some were taken back: the few earliest ones are kept. Should all of these go, the
 * answer is a time that none of the others is earlier than.
 */
export class EarliestStarts {
  /** in order; all that are earlier than `#othersFrom` are here */
  readonly #kept: MinuteTime[] = [];
  /** null = there are no others */
  #othersFrom: MinuteTime | null = null;

  /** null where there is none */
  get first(): MinuteTime | null {
    return this.#kept[0] ?? this.#othersFrom;
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    return 64 + this.#kept.length * 40;
  }

  add(start: MinuteTime): void {
    if (this.#othersFrom !== null && isEarlier(this.#othersFrom, start)) return;
    let at = this.#kept.length;
    while (at > 0 && isEarlier(start, this.#kept[at - 1] as MinuteTime)) at -= 1;
    this.#kept.splice(at, 0, start);
    if (this.#kept.length > earliestStartsMax) this.#othersFrom = this.#kept.pop() ?? null;
  }

  remove(start: MinuteTime): void {
    const at = this.#kept.findIndex(({ minute, nanos }) => minute === start.minute && nanos === start.nanos);
    if (at >= 0) this.#kept.splice(at, 1);
  }

  clear(): void {
    this.#kept.length = 0;
    this.#othersFrom = null;
  }

  save(out: SnapshotWriter): void {
    const write = ({ minute, nanos }: MinuteTime): void => {
      out.number(minute);
      out.number(nanos);
    };
    out.list(this.#kept, write);
    out.optional(this.#othersFrom, write);
  }

  load(from: SnapshotReader): void {
    const read = (): MinuteTime => ({ minute: from.number(), nanos: from.number() });
    this.#kept.push(...from.list(read));
    this.#othersFrom = from.optional(read);
  }
}
