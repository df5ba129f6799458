/**
 * UTF-8 to string without a platform API, so that the core stays free of them. Each maximal ill-formed sequence becomes
 * one U+FFFD, as the WHATWG Encoding Standard does it; a byte order mark is kept.
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  const units: number[] = [];
  let text = "";
  let at = start;
  while (at < end) {
    const lead = bytes[at] as number;
    if (lead < 0x80) {
      units.push(lead);
      at += 1;
    } else {
      const length = wellFormedLength(bytes, at, end);
      if (length > 0) {
        pushCodePoint(units, codePointAt(bytes, at, length));
        at += length;
      } else {
        units.push(0xfffd);
        at += illFormedLength(bytes, at, end);
      }
    }
    if (units.length > 8192) {
      text += String.fromCharCode(...units);
      units.length = 0;
    }
  }
  return text + String.fromCharCode(...units);
}

/** Whether the range is well-formed UTF-8 (no surrogates, no overlong forms). */
export function isWellFormedUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if ((bytes[at] as number) < 0x80) {
      at += 1;
      continue;
    }
    const length = wellFormedLength(bytes, at, end);
    if (length === 0) return false;
    at += length;
  }
  return true;
}

/** The bytes of a string; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  for (const character of text) {
    const point = character.codePointAt(0) as number;
    const code = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
    if (code < 0x80) bytes[length++] = code;
    else if (code < 0x800) {
      bytes[length++] = 0xc0 | (code >> 6);
      bytes[length++] = 0x80 | (code & 0x3f);
    } else if (code < 0x10000) {
      bytes[length++] = 0xe0 | (code >> 12);
      bytes[length++] = 0x80 | ((code >> 6) & 0x3f);
      bytes[length++] = 0x80 | (code & 0x3f);
    } else {
      bytes[length++] = 0xf0 | (code >> 18);
      bytes[length++] = 0x80 | ((code >> 12) & 0x3f);
      bytes[length++] = 0x80 | ((code >> 6) & 0x3f);
      bytes[length++] = 0x80 | (code & 0x3f);
    }
  }
  return bytes.slice(0, length);
}

/** 2..4 if a well-formed multi-byte sequence starts here, else 0. */
function wellFormedLength(bytes: Uint8Array, at: number, end: number): number {
  const expected = sequenceLength(bytes[at] as number);
  return expected > 0 && at + expected <= end && prefixLength(bytes, at, end) === expected ? expected : 0;
}

/** The maximal ill-formed prefix that one U+FFFD stands for, at least one byte. */
function illFormedLength(bytes: Uint8Array, at: number, end: number): number {
  return Math.max(1, prefixLength(bytes, at, end));
}

/** How many bytes from `at` on belong to one sequence, as far as they fit its lead byte. */
function prefixLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at] as number;
  const expected = sequenceLength(lead);
  if (expected === 0) return 0;
  let length = 1;
  while (length < expected && at + length < end) {
    const byte = bytes[at + length] as number;
    const [low, high] = length === 1 ? secondByteRange(lead) : [0x80, 0xbf];
    if (byte < low || byte > high) break;
    length += 1;
  }
  return length;
}

function sequenceLength(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

function secondByteRange(lead: number): readonly [number, number] {
  if (lead === 0xe0) return [0xa0, 0xbf];
  if (lead === 0xed) return [0x80, 0x9f];
  if (lead === 0xf0) return [0x90, 0xbf];
  if (lead === 0xf4) return [0x80, 0x8f];
  return [0x80, 0xbf];
}

function codePointAt(bytes: Uint8Array, at: number, length: number): number {
  let point = (bytes[at] as number) & (0xff >> (length + 1));
  for (let i = 1; i < length; i += 1) point = (point << 6) | ((bytes[at + i] as number) & 0x3f);
  return point;
}

function pushCodePoint(units: number[], point: number): void {
  if (point < 0x10000) units.push(point);
  else units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
}
