import { decodeUtf8 } from "../base/utf8.ts";

const minus = 0x2d;
const dot = 0x2e;
const digit0 = 0x30;
const digit9 = 0x39;
const powersOfTen = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

/** How many bytes from `start` on, and before `end`, are a JSON number; 0 = none. */
export function numberLength(bytes: Uint8Array, start: number, end: number): number {
  let at = bytes[start] === minus ? start + 1 : start;
  const integerStart = at;
  at = digitsEnd(bytes, at, end);
  if (at === integerStart || (bytes[integerStart] === digit0 && at > integerStart + 1)) return 0;
  if (at < end && bytes[at] === dot) {
    const fractionStart = at + 1;
    at = digitsEnd(bytes, fractionStart, end);
    if (at === fractionStart) return 0;
  }
  if (at < end && ((bytes[at] as number) | 0x20) === 0x65) {
    const sign = bytes[at + 1];
    const exponentStart = sign === 0x2b || sign === minus ? at + 2 : at + 1;
    at = digitsEnd(bytes, exponentStart, end);
    if (at === exponentStart) return 0;
  }
  return at - start;
}

/** Whether the whole range is one JSON number. */
export function isNumber(bytes: Uint8Array, start: number, end: number): boolean {
  return start < end && numberLength(bytes, start, end) === end - start;
}

function digitsEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] as number) >= digit0 && (bytes[at] as number) <= digit9) at += 1;
  return at;
}

/**
 * A JSON number as a double. Digits below 2^53 with at most 22 decimals are exact as one division of two exact doubles
 * (W. Clinger, "How to read floating point numbers accurately", 1990); the rest is left to JavaScript.
 */
export function parseDouble(bytes: Uint8Array, start: number, end: number): number {
  const isNegative = bytes[start] === minus;
  let mantissa = 0;
  let decimals = -1;
  for (let at = isNegative ? start + 1 : start; at < end; at += 1) {
    const byte = bytes[at] as number;
    if (byte === dot) decimals = 0;
    else if (byte > digit9) return Number(decodeUtf8(bytes, start, end));
    else {
      mantissa = mantissa * 10 + (byte - digit0);
      if (decimals >= 0) decimals += 1;
    }
  }
  if (mantissa > Number.MAX_SAFE_INTEGER || decimals > 22) return Number(decodeUtf8(bytes, start, end));
  const value = decimals > 0 ? mantissa / (powersOfTen[decimals] as number) : mantissa;
  return isNegative ? -value : value;
}

/** An unsigned integer as its high and low 32 bits; false if it is none or has more than 64 bits. */
export function readUint64(bytes: Uint8Array, start: number, end: number, words: Uint32Array): boolean {
  let first = start;
  while (first < end - 1 && bytes[first] === digit0) first += 1;
  const length = end - first;
  if (length <= 0 || length > 20) return readIntegral(bytes, start, end, words);
  const split = length > 9 ? end - 9 : first;
  let head = 0;
  let tail = 0;
  for (let at = first; at < end; at += 1) {
    const digit = (bytes[at] as number) - digit0;
    if (digit < 0 || digit > 9) return readIntegral(bytes, start, end, words);
    if (at < split) head = head * 10 + digit;
    else tail = tail * 10 + digit;
  }
  return joinWords(head, tail, words);
}

/** `head` * 10^9 + `tail` in two words, by parts that doubles hold exactly; false beyond 64 bits. */
function joinWords(head: number, tail: number, words: Uint32Array): boolean {
  const headHigh = Math.floor(head / 65_536);
  const low = (head - headHigh * 65_536) * 1e9 + tail;
  const lowHigh = Math.floor(low / 65_536);
  const upper = headHigh * 1e9 + lowHigh;
  const high = Math.floor(upper / 65_536);
  if (high > 0xffff_ffff) return false;
  words[0] = high;
  words[1] = (upper - high * 65_536) * 65_536 + (low - lowHigh * 65_536);
  return true;
}

/** An integer written with a fraction or an exponent, such as 1.75e18: its digits with the point moved. */
function readIntegral(bytes: Uint8Array, start: number, end: number, words: Uint32Array): boolean {
  if (end - start > 64 || !isNumber(bytes, start, end) || bytes[start] === minus) return false;
  const [mantissa = "", exponent = "0"] = decodeUtf8(bytes, start, end).toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const shift = Number(exponent);
  if (Math.abs(shift) > 64) return false;
  const digits = `${"0".repeat(64)}${whole}${fraction}`;
  const point = digits.length - fraction.length + shift;
  const integer = digits.slice(0, Math.max(0, point)).padEnd(point, "0").replace(/^0+/, "");
  if (/[1-9]/.test(digits.slice(point)) || integer.length > 20) return false;
  return joinWords(Number(integer.slice(0, -9)), Number(integer.slice(-9)), words);
}

/** Two's complement. */
export function negate(words: Uint32Array): void {
  const low = (~(words[1] as number) + 1) >>> 0;
  words[0] = ~(words[0] as number) + (low === 0 ? 1 : 0);
  words[1] = low;
}
