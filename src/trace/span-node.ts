import type { NodeNaming } from "../model/service-directory.ts";
import { SpanKind, type SpanTable } from "../model/span-table.ts";
import { semanticsOf } from "./semantics.ts";
import type { TraceSpan } from "./trace.ts";

const noChildren: number[] = [];
const twoTo32 = 4_294_967_296;

/** Jobs and loops that poll are traced too; no request takes this long. */
const jobNanosMin = 3_600_000_000_000;

/** Whether nobody waits for such spans as a rule. */
function isOwnPace(kind: number): boolean {
  return kind === SpanKind.Internal || kind === SpanKind.Consumer || kind === SpanKind.Producer;
}

/** Unix nanoseconds. */
export interface TimeWords {
  readonly high: number;
  readonly low: number;
}

/** A span while its trace is put together: one shape for all, so that loops over spans stay fast. */
export class SpanNode implements TraceSpan {
  readonly table: SpanTable;
  readonly row: number;
  readonly service: string;
  readonly instance: string;
  readonly host: string;
  readonly operation: string;
  readonly kind: number;
  readonly failed: boolean;
  index = 0;
  parent = -1;
  isOrphan = false;
  children = noChildren;
  // No small whole numbers at first: a field that stops being one later on costs all code that was compiled before.
  start = Number.NaN;
  end = Number.NaN;
  clockShift = Number.NaN;
  isUnfinished: boolean;
  isOpenEnded: boolean;
  /** whether the times were sent */
  readonly hasStart: boolean;
  readonly hasEnd: boolean;
  /** words of ids as signed numbers, which need no memory of their own */
  readonly idHigh: number;
  readonly idLow: number;
  readonly parentHigh: number;
  readonly parentLow: number;
  /** the next span with the same id, in trace order; null = none */
  nextOfId: SpanNode | null = null;

  /** Times count from `base`. */
  constructor(table: SpanTable, row: number, naming: NodeNaming, base: TimeWords) {
    const semantics = semanticsOf(table);
    const identity = semantics.identityOf(row);
    this.table = table;
    this.row = row;
    this.service = semantics.serviceOf(row, naming);
    this.instance = identity.instance;
    this.host = identity.host;
    this.operation = semantics.operationOf(row);
    this.kind = semantics.kindOf(row);
    this.failed = semantics.failed(row);
    this.idHigh = (table.spanId[row * 2] as number) | 0;
    this.idLow = (table.spanId[row * 2 + 1] as number) | 0;
    this.parentHigh = (table.parentSpanId[row * 2] as number) | 0;
    this.parentLow = (table.parentSpanId[row * 2 + 1] as number) | 0;
    const startHigh = table.startTime[row * 2] as number;
    const startLow = table.startTime[row * 2 + 1] as number;
    const endHigh = table.endTime[row * 2] as number;
    const endLow = table.endTime[row * 2 + 1] as number;
    this.hasStart = startHigh !== 0 || startLow !== 0;
    this.hasEnd = endHigh !== 0 || endLow !== 0;
    this.start = this.hasStart ? (startHigh - base.high) * twoTo32 + (startLow - base.low) : 0;
    this.end = this.hasEnd ? (endHigh - base.high) * twoTo32 + (endLow - base.low) : this.start;
    this.clockShift = 0;
    this.isUnfinished = !this.hasEnd || !this.hasStart;
    this.isOpenEnded =
      semantics.isStream(row) || (isOwnPace(this.kind) && this.end - this.start >= jobNanosMin);
  }

  /** `toCome` children are still to be added, this one included: an array that grows would take several times their room. */
  addChild(index: number, toCome: number): void {
    if (this.children === noChildren) this.children = Array<number>(toCome);
    this.children[this.children.length - toCome] = index;
  }
}
