import { MalformedBodyError } from "../model/telemetry.ts";

/** Levels of nested groups that are skipped; nothing that OTLP defines uses groups at all. */
const groupDepthMax = 64;

/** Ends of a length-prefixed or fixed field, see `Wire.skip`. */
export const broken = -1;

/**
 * Reads the protobuf wire format from one body. Its functions take a position and the end of the message around it and
 * answer the position behind what they read, or `broken`; they never read past `end`. What is wrong and where stays in
 * `problem` and `problemAt`. Nothing is thrown, because a body may hold millions of broken spans.
 */
export class Wire {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** the low and high half of the varint that was read last */
  low = 0;
  high = 0;
  /** where the length-delimited field ends whose length was read last */
  next = 0;
  /** texts that were only numbers of strings in a table, so far */
  stringIndices = 0;
  problem = "";
  problemAt = 0;
  readonly #groups = new Uint32Array(groupDepthMax);

  constructor(body: Uint8Array) {
    // A plain array, whatever the caller has: a Buffer now and then would make every access polymorphic.
    this.bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    this.view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  }

  /** Reads a varint of up to ten bytes into `low` and `high`. */
  varint(start: number, end: number): number {
    const { bytes } = this;
    let low = 0;
    let high = 0;
    let at = start;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) return this.fail(start, "a varint ends too early");
      const byte = bytes[at] as number;
      at += 1;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return at;
      }
    }
    return this.fail(start, "a varint is longer than ten bytes");
  }

  /** Reads a field's tag into `low`. */
  tag(start: number, end: number): number {
    const at = this.varint(start, end);
    if (at === broken) return broken;
    if (this.high !== 0 || at - start > 5 || this.low < 8) return this.fail(start, "this is not a field tag");
    return at;
  }

  /** Reads the length of a length-delimited field: answers where its content starts, and sets `next` to its end. */
  length(start: number, end: number): number {
    const at = this.varint(start, end);
    if (at === broken) return broken;
    if (this.high !== 0 || this.low > end - at)
      return this.fail(start, "a length runs past the end of its message");
    this.next = at + this.low;
    return at;
  }

  /** Steps over the rest of a field after its tag. */
  skip(tag: number, start: number, end: number): number {
    if (tag >>> 3 === 0) return this.fail(start, "field number 0 does not exist");
    switch (tag & 7) {
      case 0:
        return this.varint(start, end);
      case 1:
        return end - start >= 8 ? start + 8 : this.fail(start, "a 64-bit field ends too early");
      case 2:
        return this.length(start, end) === broken ? broken : this.next;
      case 3:
        return this.#skipGroup(tag >>> 3, start, end);
      case 5:
        return end - start >= 4 ? start + 4 : this.fail(start, "a 32-bit field ends too early");
      default:
        return this.fail(start, `wire type ${tag & 7} does not fit here`);
    }
  }

  /** Steps over a group, with a stack of its own instead of recursion. */
  #skipGroup(field: number, start: number, end: number): number {
    const open = this.#groups;
    let depth = 1;
    open[0] = field;
    let at = start;
    while (depth > 0) {
      at = this.tag(at, end);
      if (at === broken) return broken;
      const tag = this.low;
      const wireType = tag & 7;
      if (wireType === 3) {
        if (depth === groupDepthMax) return this.fail(at, "groups are nested too deeply");
        open[depth] = tag >>> 3;
        depth += 1;
      } else if (wireType === 4) {
        depth -= 1;
        if (open[depth] !== tag >>> 3) return this.fail(at, "a group ends that did not start");
      } else {
        at = this.skip(tag, at, end);
        if (at === broken) return broken;
      }
    }
    return at;
  }

  fail(at: number, problem: string): typeof broken {
    this.problem = problem;
    this.problemAt = at;
    return broken;
  }

  /** The body as a whole is unreadable. */
  error(): MalformedBodyError {
    return new MalformedBodyError(`not a protobuf OTLP request: ${this.problem}`, this.problemAt);
  }
}
