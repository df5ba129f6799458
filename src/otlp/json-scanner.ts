import { grow } from "../base/grow.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import type { StringDictionary } from "../model/string-dictionary.ts";
import { MalformedBodyError } from "../model/telemetry.ts";
import { endOfObject, type KeySet, type Literal } from "./json-keys.ts";
import { isNumber, negate, numberLength, parseDouble, readUint64 } from "./json-numbers.ts";

const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const digit0 = 0x30;
const digit9 = 0x39;
const colon = 0x3a;
const openArray = 0x5b;
const backslash = 0x5c;
const closeArray = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/** Values of hex digits of any case, -1 for other bytes. */
const hexDigits = digitTable("0123456789abcdef", "0123456789ABCDEF");
/** Values of base64 digits of both alphabets, -1 for other bytes. */
const base64Digits = digitTable(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
);
const keptScratchMax = 65_536;

/**
 * Reads JSON straight from bytes: the caller walks the shape that it expects, and no string or object is made that it does
 * not ask for. Reading never recurses.
 *
 *   for (let key = scanner.firstKey(keys); key !== endOfObject; key = scanner.nextKey(keys, key))
 *     if (key === nameKey) scanner.string(); else scanner.skipValue();
 *
 * Each reader of a value returns false, and leaves its result fields alone, for `null` (which means absent) and for a value
 * of another shape, which is skipped and noted in `misshapen`. Text that is no JSON throws `MalformedBodyError`; only raw
 * control characters in strings, ill-formed UTF-8 and a byte order mark at the start are let through.
 */
export class JsonScanner {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  /** the string last read lies in `text` from `textStart` to `textEnd`, as UTF-8 without escapes */
  text = this.bytes;
  textStart = 0;
  textEnd = 0;
  /** whether that string had escapes, so that `text` is not `bytes` */
  textWasEscaped = false;
  /** the 64-bit integer last read, two's complement; ids in hex use all four words */
  readonly words = new Uint32Array(4);
  /** the double last read */
  number = 0;
  /** whether a value had another shape than asked for, since this was last set to false */
  misshapen = false;
  /** texts that were only numbers of strings in a table, counted by whoever reads them */
  stringIndices = 0;
  #misshapenAt = 0;
  #expected = "";
  #end = 0;
  #view = new DataView(this.bytes.buffer);
  #scratch = new Uint8Array(256);
  /** 1 = object, 0 = array, for each level that `skipValue` is in */
  #nesting = new Uint8Array(64);

  /** Begins a new text. A `Buffer` is read through a plain view, so that hot loops see one class of array. */
  reset(body: Uint8Array): void {
    this.bytes =
      body.constructor === Uint8Array ? body : new Uint8Array(body.buffer, body.byteOffset, body.length);
    this.text = this.bytes;
    this.#view = new DataView(body.buffer, body.byteOffset, body.length);
    this.#end = body.length;
    this.misshapen = false;
    this.stringIndices = 0;
    if (this.#scratch.length > keptScratchMax) this.#scratch = new Uint8Array(256);
    if (this.#nesting.length > keptScratchMax) this.#nesting = new Uint8Array(64);
    this.at = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
    this.#skipSpace();
  }

  /** Throws if a value had another shape than asked for: for places where that spoils the whole text. */
  requireShape(): void {
    if (this.misshapen)
      throw new MalformedBodyError(
        `${this.#expected} expected at byte ${this.#misshapenAt}`,
        this.#misshapenAt,
      );
  }

  requireEnd(): void {
    this.#skipSpace();
    if (this.at < this.#end) this.#fail("end of the text");
  }

  // --- objects and arrays -----------------------------------------------------------------------------------------

  /** As `firstKey`, for the object that is the whole text. */
  topKey(keys: KeySet): number {
    if (this.bytes[this.at] !== openObject) this.#fail("an object");
    return this.firstKey(keys);
  }

  /** Enters an object and reads its first key; the scanner then stands at that key's value. */
  firstKey(keys: KeySet): number {
    if (this.bytes[this.at] !== openObject) {
      this.#mismatch("an object");
      return endOfObject;
    }
    this.at += 1;
    if (this.bytes[this.at] !== quote) {
      this.#skipSpace();
      if (this.bytes[this.at] === closeObject) {
        this.at += 1;
        return endOfObject;
      }
    }
    return this.#key(keys, endOfObject);
  }

  /** The next key of the object that the scanner is in; `previous` is the key whose value was just read. */
  nextKey(keys: KeySet, previous: number): number {
    let byte = this.bytes[this.at];
    if (byte !== comma && byte !== closeObject) {
      this.#skipSpace();
      byte = this.bytes[this.at];
      if (byte !== comma && byte !== closeObject) this.#fail('"," or "}"');
    }
    this.at += 1;
    if (byte === closeObject) return endOfObject;
    if (this.bytes[this.at] !== quote) this.#skipSpace();
    return this.#key(keys, previous);
  }

  /** Enters an object whose keys nobody knows, and stands at its first key, to be read as a string; false if it has none. */
  firstMember(): boolean {
    if (this.bytes[this.at] !== openObject) return this.#mismatch("an object");
    this.at += 1;
    this.#skipSpace();
    if (this.bytes[this.at] === closeObject) {
      this.at += 1;
      return false;
    }
    if (this.bytes[this.at] !== quote) this.#fail("a key");
    return true;
  }

  /** Moves to the next key of such an object; false at its end. */
  nextMember(): boolean {
    this.#skipSpace();
    const byte = this.bytes[this.at];
    if (byte !== comma && byte !== closeObject) this.#fail('"," or "}"');
    this.at += 1;
    if (byte === closeObject) return false;
    this.#skipSpace();
    if (this.bytes[this.at] !== quote) this.#fail("a key");
    return true;
  }

  /** From behind a key to its value. */
  toValue(): void {
    this.#skipSpace();
    if (this.bytes[this.at] !== colon) this.#fail('":"');
    this.at += 1;
    this.#skipSpace();
  }

  /** Enters an array; false if it has no element. */
  firstElement(): boolean {
    if (this.bytes[this.at] !== openArray) {
      this.#mismatch("an array");
      return false;
    }
    this.at += 1;
    this.#skipSpace();
    if (this.bytes[this.at] !== closeArray) return true;
    this.at += 1;
    return false;
  }

  /** Moves to the next element of the array that the scanner is in; false at its end. */
  nextElement(): boolean {
    let byte = this.bytes[this.at];
    if (byte !== comma && byte !== closeArray) {
      this.#skipSpace();
      byte = this.bytes[this.at];
      if (byte !== comma && byte !== closeArray) this.#fail('"," or "]"');
    }
    this.at += 1;
    if (byte === closeArray) return false;
    if ((this.bytes[this.at] as number) <= 0x20) this.#skipSpace();
    return true;
  }

  /** Goes on behind `literal` if it stands here and a value follows at once. */
  takeTight(literal: Literal): boolean {
    const { at } = this;
    if (!this.#take(literal)) return false;
    if ((this.bytes[this.at] as number) > 0x20) return true;
    this.at = at;
    return false;
  }

  /** Leaves two objects at once if both end here, without white space. */
  takeTwoEnds(): boolean {
    const { bytes, at } = this;
    if (bytes[at] !== closeObject || bytes[at + 1] !== closeObject) return false;
    this.at = at + 2;
    return true;
  }

  /** Takes the object here if it is, byte for byte, the one that stands from `start` to `end`; not one of less than four bytes. */
  takeObjectAgain(start: number, end: number): boolean {
    const { at } = this;
    const last = end - start - 4;
    if (last < 0 || at + last + 4 > this.#end || this.bytes[at] !== openObject) return false;
    const view = this.#view;
    for (let i = 0; i < last; i += 4)
      if (view.getInt32(at + i, true) !== view.getInt32(start + i, true)) return false;
    if (view.getInt32(at + last, true) !== view.getInt32(start + last, true)) return false;
    this.at = at + last + 4;
    return true;
  }

  #key(keys: KeySet, previous: number): number {
    const bytes = this.bytes;
    const guess = keys.follower(previous);
    if (guess !== null && this.#take(guess.literal)) {
      if ((bytes[this.at] as number) <= 0x20) this.#skipSpace();
      return guess.id;
    }
    if (bytes[this.at] !== quote) this.#fail("a key");
    this.#readString();
    this.#skipSpace();
    if (bytes[this.at] !== colon) this.#fail('":"');
    this.at += 1;
    this.#skipSpace();
    return keys.find(this.text, this.textStart, this.textEnd, previous);
  }

  /** Goes on behind `literal` if it stands here; it must end where a token ends, and there may be white space then. */
  #take(literal: Literal): boolean {
    const { at } = this;
    const { length, words } = literal;
    const view = this.#view;
    if (at + length > this.#end || view.getInt32(at + length - 4, true) !== literal.lastWord) return false;
    for (let i = 0; i < words.length; i += 1) if (view.getInt32(at + i * 4, true) !== words[i]) return false;
    this.at = at + length;
    return true;
  }

  // --- values -----------------------------------------------------------------------------------------------------

  /** Takes a `null`, if one stands here. */
  isNull(): boolean {
    if (this.bytes[this.at] !== 0x6e) return false;
    this.#literal(0x6e);
    return true;
  }

  /** Reads a string into `text`. */
  string(): boolean {
    if (this.bytes[this.at] !== quote) return this.#mismatch("a string");
    this.#readString();
    return true;
  }

  /** Takes a string value that is, byte for byte and without escapes, entry `id` of `strings`. */
  isKnownString(strings: StringDictionary, id: number): boolean {
    const { bytes, at } = this;
    if (bytes[at] !== quote) return false;
    const length = strings.lengthIfAt(id, bytes, at + 1);
    if (length < 0 || bytes[at + 1 + length] !== quote) return false;
    this.at = at + length + 2;
    return true;
  }

  /** The string last read, as a JavaScript string. */
  textString(): string {
    return decodeUtf8(this.text, this.textStart, this.textEnd);
  }

  /** `true` or `false`, into `number` as 1 or 0. */
  boolean(): boolean {
    const byte = this.bytes[this.at];
    if (byte !== 0x74 && byte !== 0x66) return this.#mismatch("true or false");
    this.#literal(byte);
    this.number = byte === 0x74 ? 1 : 0;
    return true;
  }

  /** A number, or a string with a number, "NaN", "Infinity" or "-Infinity", into `number`. */
  double(): boolean {
    const start = this.at;
    if (this.bytes[start] !== quote) {
      if (!startsNumber(this.bytes[start])) return this.#mismatch("a number");
      this.#skipNumber();
      this.number = parseDouble(this.bytes, start, this.at);
      return true;
    }
    this.#readString();
    const { text, textStart, textEnd } = this;
    if (isNumber(text, textStart, textEnd)) this.number = parseDouble(text, textStart, textEnd);
    else {
      const word = textEnd - textStart <= 9 ? this.textString() : "";
      if (word !== "NaN" && word !== "Infinity" && word !== "-Infinity")
        return this.#wrong(start, "a number");
      this.number = Number(word);
    }
    return true;
  }

  /** An unsigned 64-bit integer, bare or as a string, into the first two of `words`, exactly. */
  uint64(): boolean {
    const start = this.at;
    if (!this.#integerText()) return false;
    if (readUint64(this.text, this.textStart, this.textEnd, this.words)) return true;
    return this.#wrong(start, "an unsigned 64-bit integer");
  }

  /** A signed 64-bit integer, bare or as a string, into the first two of `words`, exactly. */
  int64(): boolean {
    const start = this.at;
    if (!this.#integerText()) return false;
    const { text, textStart, textEnd, words } = this;
    const isNegative = text[textStart] === minus;
    if (!readUint64(text, isNegative ? textStart + 1 : textStart, textEnd, words))
      return this.#wrong(start, "a 64-bit integer");
    if (isNegative) negate(words);
    const high = words[0] as number;
    // The sign bit must say what the minus sign said; a negative zero is zero.
    if (high >>> 31 !== (isNegative ? 1 : 0) && (high !== 0 || words[1] !== 0))
      return this.#wrong(start, "a 64-bit integer");
    return true;
  }

  /** An unsigned 32-bit integer, bare or as a string, into `number`. */
  uint32(): boolean {
    const start = this.at;
    if (!this.uint64()) return false;
    if (this.words[0] !== 0) return this.#wrong(start, "an unsigned 32-bit integer");
    this.number = this.words[1] as number;
    return true;
  }

  /** A signed 32-bit integer, bare or as a string, into `number`. */
  int32(): boolean {
    const start = this.at;
    if (!this.int64()) return false;
    const low = (this.words[1] as number) | 0;
    if (((this.words[0] as number) | 0) !== low >> 31) return this.#wrong(start, "a 32-bit integer");
    this.number = low;
    return true;
  }

  /** An enum: an integer, bare or as a string, or one of `names`, whose number is its position there; into `number`. */
  enumeration(names: readonly string[]): boolean {
    const start = this.at;
    const bytes = this.bytes;
    const digit = (bytes[start] as number) - digit0;
    const after = bytes[start + 1];
    if (digit >= 0 && digit <= 9 && (after === comma || after === closeObject)) {
      this.at = start + 1;
      this.number = digit;
      return true;
    }
    if (bytes[start] !== quote || !isLetter(bytes[start + 1])) return this.int32();
    this.#readString();
    const value = names.indexOf(this.textString());
    if (value < 0) return this.#wrong(start, `one of ${names.join(", ")}`);
    this.number = value;
    return true;
  }

  /**
   * An id of `wordCount` 32-bit words in hex, into `words`; all zero if the string is anything else. Ids in base64 with its
   * padding, which no id in hex can be taken for, are read too: writers that treat ids as any bytes (Tempo) give these.
   */
  hexId(wordCount: 2 | 4): boolean {
    if (this.bytes[this.at] !== quote) return this.#mismatch("an id in hex");
    this.#readString();
    const { text, words } = this;
    if (text[this.textEnd - 1] === 0x3d) return this.#base64Id(wordCount);
    let isHex = this.textEnd - this.textStart === wordCount * 8;
    let at = this.textStart;
    for (let word = 0; word < wordCount && isHex; word += 1, at += 8) {
      const high = hexByte(text, at) | (hexByte(text, at + 2) << 8);
      const low = hexByte(text, at + 4) | (hexByte(text, at + 6) << 8);
      // A bad digit makes its byte negative, and so the union of all.
      isHex = high >= 0 && low >= 0;
      words[word] = ((high & 0xff) << 24) | ((high >> 8) << 16) | ((low & 0xff) << 8) | (low >> 8);
    }
    if (!isHex) words.fill(0);
    return true;
  }

  #base64Id(wordCount: number): true {
    const id = decodeBase64(this.text, this.textStart, this.textEnd);
    this.words.fill(0);
    if (id === null || id.length !== wordCount * 4) return true;
    const view = new DataView(id.buffer);
    for (let word = 0; word < wordCount; word += 1) this.words[word] = view.getUint32(word * 4);
    return true;
  }

  /** Bytes in base64, either alphabet, with or without padding; null where there are none. */
  base64(): Uint8Array | null {
    const start = this.at;
    if (!this.string()) return null;
    const bytes = decodeBase64(this.text, this.textStart, this.textEnd);
    if (bytes === null) this.#wrong(start, "base64");
    return bytes;
  }

  // --- skipping ---------------------------------------------------------------------------------------------------

  /** Skips a value of any shape, however deep. */
  skipValue(): void {
    const bytes = this.bytes;
    let depth = 0;
    for (;;) {
      const byte = bytes[this.at];
      if (byte === openObject || byte === openArray) {
        if (depth === this.#nesting.length) this.#nesting = grow(this.#nesting, depth + 1);
        this.#nesting[depth] = byte === openObject ? 1 : 0;
        depth += 1;
        this.at += 1;
        this.#skipSpace();
        if (bytes[this.at] !== byte + 2) {
          if (byte === openObject) this.#skipKey();
          continue;
        }
        this.at += 1;
        depth -= 1;
      } else this.#skipScalar(byte);
      depth = this.#closeLevels(depth);
      if (depth === 0) return;
    }
  }

  /** After a value, `depth` levels deep: leaves the levels that end here and goes to the next value, 0 = none is left. */
  #closeLevels(depth: number): number {
    const bytes = this.bytes;
    let level = depth;
    while (level > 0) {
      this.#skipSpace();
      const byte = bytes[this.at];
      const isObject = this.#nesting[level - 1] === 1;
      if (byte === comma) {
        this.at += 1;
        this.#skipSpace();
        if (isObject) this.#skipKey();
        return level;
      }
      if (byte !== (isObject ? closeObject : closeArray)) this.#fail(isObject ? '"," or "}"' : '"," or "]"');
      this.at += 1;
      level -= 1;
    }
    return 0;
  }

  #skipKey(): void {
    if (this.bytes[this.at] !== quote) this.#fail("a key");
    this.#skipString();
    this.#skipSpace();
    if (this.bytes[this.at] !== colon) this.#fail('":"');
    this.at += 1;
    this.#skipSpace();
  }

  #skipScalar(byte: number | undefined): void {
    if (byte === quote) this.#skipString();
    else if (startsNumber(byte)) this.#skipNumber();
    else this.#literal(byte);
  }

  #skipNumber(): void {
    const length = numberLength(this.bytes, this.at, this.#end);
    if (length === 0) this.#fail("a number");
    this.at += length;
  }

  #literal(first: number | undefined): void {
    const word = first === 0x74 ? "true" : first === 0x66 ? "false" : first === 0x6e ? "null" : "";
    for (let i = 0; i < word.length; i += 1)
      if (this.bytes[this.at + i] !== word.charCodeAt(i)) this.#fail("a value");
    if (word === "") this.#fail("a value");
    this.at += word.length;
  }

  #skipSpace(): void {
    const bytes = this.bytes;
    let at = this.at;
    for (;;) {
      const byte = bytes[at] as number;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at += 1;
    }
    this.at = at;
  }

  // --- strings ----------------------------------------------------------------------------------------------------

  #readString(): void {
    const bytes = this.bytes;
    const end = this.#end;
    const start = this.at + 1;
    let at = start;
    while (at < end) {
      const byte = bytes[at] as number;
      if (byte === quote) {
        this.text = bytes;
        this.textStart = start;
        this.textEnd = at;
        this.textWasEscaped = false;
        this.at = at + 1;
        return;
      }
      if (byte === backslash) break;
      at += 1;
    }
    this.#skipString();
    this.#unescape(start, this.at - 1);
  }

  /** Skips a string, escapes included; what they mean is only looked at when the string is read. */
  #skipString(): void {
    const bytes = this.bytes;
    const end = this.#end;
    let at = this.at + 1;
    while (at < end) {
      const byte = bytes[at] as number;
      if (byte === quote) {
        this.at = at + 1;
        return;
      }
      at += byte === backslash ? 2 : 1;
    }
    this.at = end;
    this.#fail('"\\"" at the end of a string');
  }

  /** Writes the string from `start` to `end` without its escapes into the scratch buffer: it is never longer. */
  #unescape(start: number, end: number): void {
    if (this.#scratch.length < end - start) this.#scratch = new Uint8Array(end - start);
    const bytes = this.bytes;
    const scratch = this.#scratch;
    let length = 0;
    let at = start;
    while (at < end) {
      const byte = bytes[at] as number;
      if (byte !== backslash) {
        scratch[length++] = byte;
        at += 1;
      } else if (bytes[at + 1] === 0x75) {
        const point = this.#escapedPoint(at);
        at += point > 0xffff ? 12 : 6;
        length = writeUtf8(scratch, length, point);
      } else {
        scratch[length++] = this.#plainEscape(at);
        at += 2;
      }
    }
    this.text = scratch;
    this.textStart = 0;
    this.textEnd = length;
    this.textWasEscaped = true;
  }

  #plainEscape(at: number): number {
    const byte = this.bytes[at + 1] as number;
    switch (byte) {
      case quote:
      case backslash:
      case 0x2f:
        return byte;
      case 0x62:
        return 0x08;
      case 0x66:
        return 0x0c;
      case 0x6e:
        return 0x0a;
      case 0x72:
        return 0x0d;
      case 0x74:
        return 0x09;
      default:
        this.at = at;
        return this.#fail("an escape");
    }
  }

  /** The code point of the escape (or pair of escapes) at `at`; a lone surrogate gives U+FFFD. */
  #escapedPoint(at: number): number {
    const unit = this.#escapedUnit(at);
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    if (unit > 0xdbff || this.bytes[at + 6] !== backslash || this.bytes[at + 7] !== 0x75) return 0xfffd;
    const low = this.#escapedUnit(at + 6);
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
  }

  #escapedUnit(at: number): number {
    const high = hexByte(this.bytes, at + 2);
    const low = hexByte(this.bytes, at + 4);
    if (high >= 0 && low >= 0) return (high << 8) | low;
    this.at = at;
    return this.#fail("four hex digits");
  }

  // --- what goes wrong --------------------------------------------------------------------------------------------

  /** The text of an integer, bare or in a string; bare ones are left in `bytes`. */
  #integerText(): boolean {
    const byte = this.bytes[this.at];
    if (byte === quote) {
      this.#readString();
      return true;
    }
    if (!startsNumber(byte)) return this.#mismatch("an integer");
    this.text = this.bytes;
    this.textStart = this.at;
    this.#skipNumber();
    this.textEnd = this.at;
    return true;
  }

  /** Skips a value that is not what was asked for; `null` is nothing wrong. */
  #mismatch(expected: string): false {
    const start = this.at;
    const isNull = this.bytes[start] === 0x6e;
    this.skipValue();
    return isNull ? false : this.#wrong(start, expected);
  }

  #wrong(at: number, expected: string): false {
    if (!this.misshapen) {
      this.misshapen = true;
      this.#misshapenAt = at;
      this.#expected = expected;
    }
    return false;
  }

  #fail(expected: string): never {
    const where = this.at < this.#end ? `at byte ${this.at}` : `but the text ends at byte ${this.#end}`;
    throw new MalformedBodyError(`broken JSON: ${expected} expected ${where}`, Math.min(this.at, this.#end));
  }
}

function startsNumber(byte: number | undefined): boolean {
  return byte !== undefined && ((byte >= digit0 && byte <= digit9) || byte === minus);
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && ((byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a));
}

/** Two hex digits as a byte; negative if one is none. */
function hexByte(text: Uint8Array, at: number): number {
  return ((hexDigits[text[at] as number] as number) << 4) | (hexDigits[text[at + 1] as number] as number);
}

function digitTable(...alphabets: readonly string[]): Int8Array {
  const table = new Int8Array(256).fill(-1);
  for (const alphabet of alphabets)
    for (let i = 0; i < alphabet.length; i += 1) table[alphabet.charCodeAt(i)] = i;
  return table;
}

function writeUtf8(bytes: Uint8Array, at: number, point: number): number {
  let length = at;
  if (point < 0x80) bytes[length++] = point;
  else {
    if (point < 0x800) bytes[length++] = 0xc0 | (point >> 6);
    else {
      if (point < 0x10000) bytes[length++] = 0xe0 | (point >> 12);
      else {
        bytes[length++] = 0xf0 | (point >> 18);
        bytes[length++] = 0x80 | ((point >> 12) & 0x3f);
      }
      bytes[length++] = 0x80 | ((point >> 6) & 0x3f);
    }
    bytes[length++] = 0x80 | (point & 0x3f);
  }
  return length;
}

function decodeBase64(text: Uint8Array, start: number, paddedEnd: number): Uint8Array | null {
  let end = paddedEnd;
  while (end > start && text[end - 1] === 0x3d && paddedEnd - end < 2) end -= 1;
  const rest = (end - start) % 4;
  if (rest === 1) return null;
  const bytes = new Uint8Array(Math.floor(((end - start) * 3) / 4));
  let length = 0;
  let bits = 0;
  let bitCount = 0;
  for (let at = start; at < end; at += 1) {
    const digit = base64Digits[text[at] as number] as number;
    if (digit < 0) return null;
    bits = ((bits << 6) | digit) & 0xffffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      bytes[length++] = (bits >> bitCount) & 0xff;
    }
  }
  return bytes;
}
