import { type Signal, signals } from "../engine/ports.ts";
import { recordBytesMax, recordLineBytesMax } from "../model/limits.ts";

/** Where a record starts: line from 1, bytes from 0, both of the unpacked content. */
export interface RecordPlace {
  /** null in binary formats */
  readonly line: number | null;
  readonly offset: number;
}

/** What a framer hands its records to. The bytes are only valid during the call. */
export interface RecordUser {
  /** Takes a record in; otherwise the answer says what is wrong with it, and nothing of it was used. */
  use(signal: Signal, bytes: Uint8Array): string | null;
  /** Something that is no record, or not a whole one. */
  skip(place: RecordPlace, why: string): void;
}

const Mode = {
  /** between records */
  Top: 0,
  /** in a record that may well end with its line */
  Line: 1,
  /** in a record's object, before a key or the end */
  Key: 2,
  /** behind a key, before its value */
  Value: 3,
  /** in the list of a signal, before an element or the end */
  Element: 4,
  /** in an element of such a list */
  InElement: 5,
  /** in a value that nobody wants */
  InOther: 6,
  /** in something unreadable; the next line may be better */
  Lost: 7,
} as const;

const newline = 0x0a;
const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** What a byte means for finding the end of a value. */
const Byte = { Plain: 0, Quote: 1, Open: 2, Close: 3, Backslash: 4, Comma: 5, Newline: 6 } as const;
const outside = new Uint8Array(256);
outside[quote] = Byte.Quote;
outside[openBrace] = outside[openBracket] = Byte.Open;
outside[closeBrace] = outside[closeBracket] = Byte.Close;
outside[comma] = Byte.Comma;
outside[newline] = Byte.Newline;
const inString = new Uint8Array(256);
inString[quote] = Byte.Quote;
inString[backslash] = Byte.Backslash;
inString[newline] = Byte.Newline;

/**
 * Cuts a stream of OTLP JSON into records, whatever its chunks: one object, one a line, arrays of objects, objects one
 * behind another, pretty-printed or not. A line that is one whole record (the usual case) is handed over as it is. Any
 * other object is cut into the elements of `resourceSpans`, `resourceMetrics` and `resourceLogs`, each handed over alone
 * in an object of its own, so that an object of any size needs the memory of its largest element and a bad element costs
 * only itself. After something unreadable it goes on at the next line.
 */
export class JsonRecords {
  readonly #user: RecordUser;
  /** Bytes not yet done with, [start, end); a newline always stands at `end`, as a sentinel for searches. */
  #buffer = Buffer.allocUnsafe(1 << 16);
  #start = 0;
  #end = 0;
  /** offset in the stream of the buffer's first byte */
  #base = 0;
  /** line of `start` */
  #line = 1;
  #mode: number = Mode.Top;
  /** where scanning goes on, in the buffer */
  #at = 0;
  #isLast = false;
  // Of the record that is being walked:
  #record: RecordPlace = { line: 1, offset: 0 };
  #keys: string[] = [];
  #signal: Signal | null = null;
  #hasSignal = false;
  // Of the value that is being scanned:
  #depth = 0;
  #isInString = false;

  constructor(user: RecordUser) {
    this.#user = user;
    this.#buffer[0] = newline;
  }

  push(chunk: Uint8Array): void {
    this.#append(chunk);
    while (this.#step());
  }

  /** No more bytes come: what is left is a record, or half of one. */
  end(): void {
    this.#isLast = true;
    while (this.#step());
    if (this.#mode === Mode.Top || this.#mode === Mode.Lost) return;
    this.#user.skip(this.#record, cutOff);
    this.#mode = Mode.Top;
  }

  /** One state further; false when more bytes are needed for that. */
  #step(): boolean {
    switch (this.#mode) {
      case Mode.Top:
        return this.#betweenRecords();
      case Mode.Line:
        return this.#inLine();
      case Mode.Key:
        return this.#beforeKey();
      case Mode.Value:
        return this.#beforeValue();
      case Mode.Element:
        return this.#beforeElement();
      case Mode.InElement:
        return this.#inElement();
      case Mode.InOther:
        return this.#inOther();
      default:
        return this.#lost();
    }
  }

  #betweenRecords(): boolean {
    const buffer = this.#buffer;
    let at = this.#start;
    while (at < this.#end && isBetween(buffer[at] as number)) {
      if (buffer[at] === newline) this.#line += 1;
      at += 1;
    }
    this.#start = at;
    this.#at = at;
    if (at === this.#end) return false;
    this.#record = this.#place();
    if (buffer[at] === openBrace) {
      this.#mode = Mode.Line;
      return true;
    }
    // Some of what is there instead is shown, so it must be there.
    const lineEnd = buffer.indexOf(newline, at);
    if (lineEnd === this.#end && lineEnd - at < shownBytes && !this.#isLast) return false;
    const shown = JSON.stringify(buffer.toString("latin1", at, Math.min(lineEnd, at + shownBytes)));
    this.#user.skip(this.#record, `is no JSON object, but starts with ${shown}`);
    this.#mode = Mode.Lost;
    return true;
  }

  #inLine(): boolean {
    const lineEnd = this.#buffer.indexOf(newline, this.#at);
    if (lineEnd === this.#end && !this.#isLast && this.#end - this.#start <= recordLineBytesMax) {
      this.#at = this.#end;
      return false;
    }
    if (lineEnd < this.#end || this.#isLast) {
      const bytes = this.#wholeLine(lineEnd);
      const signal = bytes === null ? null : onlySignalOf(bytes);
      if (bytes !== null && signal !== null && this.#user.use(signal, bytes) === null) {
        this.#start = lineEnd;
        this.#mode = Mode.Top;
        return true;
      }
    }
    this.#keys = [];
    this.#hasSignal = false;
    this.#at = this.#start + 1;
    this.#mode = Mode.Key;
    return true;
  }

  /** The line without what surrounds a record, if it looks like a whole one. */
  #wholeLine(lineEnd: number): Buffer | null {
    const buffer = this.#buffer;
    let end = lineEnd;
    while (end > this.#start && isBetween(buffer[end - 1] as number)) end -= 1;
    return buffer[end - 1] === closeBrace ? buffer.subarray(this.#start, end) : null;
  }

  #beforeKey(): boolean {
    if (!this.#skipSpace()) return this.#mode === Mode.Top;
    const byte = this.#buffer[this.#at] as number;
    if (byte === comma) this.#at += 1;
    else if (byte === closeBrace) {
      this.#consume(this.#at + 1);
      if (!this.#hasSignal && this.#keys.length > 0)
        this.#user.skip(
          this.#record,
          `has no resourceSpans, resourceMetrics or resourceLogs (${this.#keys.join(", ")})`,
        );
      this.#mode = Mode.Top;
    } else if (byte === quote) {
      let end = this.#at + 1;
      while (end < this.#end && this.#buffer[end] !== quote && this.#buffer[end] !== newline) end += 1;
      if (end === this.#end) return this.#end - this.#at > keyBytesMax ? this.#broken() : false;
      if (this.#buffer[end] === newline) return this.#broken(cutOff);
      const key = this.#buffer.toString("latin1", this.#at + 1, end);
      this.#signal = signalOfKey(key);
      if (this.#keys.length < 4) this.#keys.push(key.slice(0, 40));
      this.#at = end + 1;
      this.#mode = Mode.Value;
    } else return this.#broken();
    return true;
  }

  #beforeValue(): boolean {
    if (!this.#skipSpace()) return this.#mode === Mode.Top;
    const byte = this.#buffer[this.#at] as number;
    if (byte === colon) {
      this.#at += 1;
      return true;
    }
    this.#depth = 0;
    this.#isInString = false;
    if (this.#signal === null || byte !== openBracket) this.#mode = Mode.InOther;
    else {
      this.#hasSignal = true;
      this.#at += 1;
      this.#mode = Mode.Element;
    }
    this.#consume(this.#at);
    return true;
  }

  #beforeElement(): boolean {
    if (!this.#skipSpace()) return this.#mode === Mode.Top;
    const byte = this.#buffer[this.#at] as number;
    if (byte === comma) this.#at += 1;
    else if (byte === closeBracket) {
      this.#at += 1;
      this.#mode = Mode.Key;
    } else if (byte === closeBrace) return this.#broken();
    else {
      this.#depth = 0;
      this.#isInString = false;
      this.#mode = Mode.InElement;
      this.#consume(this.#at);
    }
    return true;
  }

  #inElement(): boolean {
    if (!this.#scanValue()) {
      if (this.#end - this.#start <= recordBytesMax) return false;
      return this.#broken(`is larger than ${recordBytesMax} bytes`);
    }
    if (this.#mode !== Mode.InElement) return true;
    const signal = this.#signal as Signal;
    const element = this.#buffer.subarray(this.#start, this.#at);
    const why = this.#user.use(signal, inObject(signal, element));
    if (why !== null) this.#user.skip(this.#place(), why);
    this.#consume(this.#at);
    this.#mode = Mode.Element;
    return true;
  }

  #inOther(): boolean {
    const isDone = this.#scanValue();
    this.#consume(this.#at);
    if (isDone && this.#mode === Mode.InOther) this.#mode = Mode.Key;
    return isDone;
  }

  #lost(): boolean {
    const lineEnd = this.#buffer.indexOf(newline, this.#at);
    this.#consume(lineEnd);
    this.#at = lineEnd;
    if (lineEnd === this.#end) return false;
    this.#mode = Mode.Top;
    return true;
  }

  /** Moves to the next byte that is not white space; false where more bytes are needed, or the record is over. */
  #skipSpace(): boolean {
    for (; this.#at < this.#end; this.#at += 1) {
      const byte = this.#buffer[this.#at] as number;
      if (byte > 0x20) return true;
      if (byte === newline && !this.#staysInRecord()) return false;
    }
    this.#consume(this.#at);
    return false;
  }

  /**
   * Moves behind the value that starts at `start`; false where more bytes are needed. A line that starts a new record,
   * or ends within a string, shows that the record was cut off: then the mode changes.
   */
  #scanValue(): boolean {
    const buffer = this.#buffer;
    const end = this.#end;
    let at = this.#at;
    let depth = this.#depth;
    let isInString = this.#isInString;
    for (; at < end; at += 1) {
      const kind = (isInString ? inString : outside)[buffer[at] as number];
      if (kind === Byte.Plain) continue;
      if (kind === Byte.Quote) {
        isInString = !isInString;
        if (!isInString && depth === 0) return this.#endValue(at + 1);
      } else if (kind === Byte.Open) depth += 1;
      else if (kind === Byte.Close) {
        if (depth <= 1) return this.#endValue(depth === 0 ? at : at + 1);
        depth -= 1;
      } else if (kind === Byte.Backslash) {
        if (at + 1 === end) break;
        at += 1;
      } else if (kind === Byte.Comma) {
        if (depth === 0) return this.#endValue(at);
      } else if (isInString || at + 1 === end || buffer[at + 1] === openBrace) {
        this.#at = at;
        this.#depth = depth;
        this.#isInString = isInString;
        if (isInString) return this.#broken(cutOff);
        if (!this.#staysInRecord()) return this.#mode === Mode.Top;
      }
    }
    this.#at = at;
    this.#depth = depth;
    this.#isInString = isInString;
    return false;
  }

  #endValue(at: number): true {
    this.#at = at;
    return true;
  }

  /**
   * At a newline within a record: whether the record goes on behind it. False also where more bytes are needed to tell;
   * the mode is `Top` if it does not.
   */
  #staysInRecord(): boolean {
    const next = this.#at + 1;
    if (this.#buffer[next] !== openBrace && (next < this.#end || this.#isLast)) return true;
    if (this.#end - next < recordStartBytes && !this.#isLast) return false;
    if (!startsRecord(this.#buffer, next, this.#end)) return true;
    this.#user.skip(this.#record, cutOff);
    this.#consume(this.#at);
    this.#mode = Mode.Top;
    return false;
  }

  #broken(why = "is no valid JSON"): true {
    this.#user.skip(this.#record, why);
    this.#mode = Mode.Lost;
    return true;
  }

  #place(): RecordPlace {
    return { line: this.#line, offset: this.#base + this.#start };
  }

  /** Lets go of everything before `at`. */
  #consume(at: number): void {
    const passed = this.#buffer.subarray(this.#start, at);
    for (let next = passed.indexOf(newline); next >= 0; next = passed.indexOf(newline, next + 1))
      this.#line += 1;
    this.#start = at;
  }

  #append(chunk: Uint8Array): void {
    const kept = this.#end - this.#start;
    if (this.#end + chunk.length + 1 > this.#buffer.length) {
      const needed = kept + chunk.length + 1;
      const buffer = needed > this.#buffer.length ? Buffer.allocUnsafe(needed * 2) : this.#buffer;
      buffer.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = buffer;
      this.#base += this.#start;
      this.#at -= this.#start;
      this.#start = 0;
      this.#end = kept;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
    this.#buffer[this.#end] = newline;
  }
}

const cutOff = "ends in the middle of a record";
const keyBytesMax = 1 << 16;
const shownBytes = 20;

/** White space, what separates the elements of an array, byte order marks, and the zeros that a crash leaves behind. */
function isBetween(byte: number): boolean {
  return (
    byte <= 0x20 ||
    byte === comma ||
    byte === openBracket ||
    byte === closeBracket ||
    byte === 0xef ||
    byte === 0xbb ||
    byte === 0xbf
  );
}

const keyOf = { traces: "resourceSpans", metrics: "resourceMetrics", logs: "resourceLogs" } as const;
const snakeKeyOf = { traces: "resource_spans", metrics: "resource_metrics", logs: "resource_logs" } as const;

/** Which signal a top-level key of OTLP JSON brings, in both spellings. */
export function signalOfKey(key: string): Signal | null {
  return signals.find((signal) => keyOf[signal] === key || snakeKeyOf[signal] === key) ?? null;
}

/** The keys as they stand in the text. */
const quotedKeys = signals.map((signal) => ({
  signal,
  spellings: [Buffer.from(`"${keyOf[signal]}"`), Buffer.from(`"${snakeKeyOf[signal]}"`)],
}));
const recordStarts = quotedKeys.flatMap(({ spellings }) =>
  spellings.map((key) => Buffer.concat([Buffer.from("{"), key])),
);
const recordStartBytes = Math.max(...recordStarts.map((start) => start.length));

/** Whether a record starts at `at`, written as exporters write it: the brace, then at once the key of a signal. */
export function startsRecord(bytes: Uint8Array, at: number, end: number): boolean {
  return recordStarts.some((start) => at + start.length <= end && isEqual(bytes, at, start));
}

/** The signal of an object that brings one alone, or null: more than one, or none at its start. */
function onlySignalOf(record: Buffer): Signal | null {
  let at = 1;
  while ((record[at] as number) <= 0x20) at += 1;
  const first = quotedKeys.find(({ spellings }) => spellings.some((key) => isEqual(record, at, key)));
  if (first === undefined) return null;
  for (;;) {
    // One search for what all six keys begin with; `"resource":` itself is met once an element.
    at = record.indexOf('"resource', at + 1, "latin1");
    if (at < 0) return first.signal;
    const other = quotedKeys.find(({ spellings }) => spellings.some((key) => isEqual(record, at, key)));
    if (other !== undefined && other.signal !== first.signal) return null;
  }
}

function isEqual(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i += 1) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** An element of a signal's list as an object of its own. */
function inObject(signal: Signal, element: Uint8Array): Uint8Array {
  const before = `{"${keyOf[signal]}":[`;
  const bytes = Buffer.allocUnsafe(before.length + element.length + 2);
  bytes.write(before, 0, "latin1");
  bytes.set(element, before.length);
  bytes.write("]}", before.length + element.length, "latin1");
  return bytes;
}
