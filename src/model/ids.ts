import type { Brand } from "../base/brand.ts";

/** 32 lower-case hex digits, not all zero. */
export type TraceId = Brand<string, "TraceId">;
/** 16 lower-case hex digits. */
export type SpanId = Brand<string, "SpanId">;

/** A trace id as users write it: 16 or 32 hex digits of any case, the short form padded on the left; else null. */
export function parseTraceId(text: string): TraceId | null {
  const trimmed = text.trim();
  if (!/^(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32})$/.test(trimmed)) return null;
  const id = trimmed.toLowerCase().padStart(32, "0");
  return /^0+$/.test(id) ? null : (id as TraceId);
}

export function traceIdFromWords(a: number, b: number, c: number, d: number): TraceId {
  putHex(a, 0);
  putHex(b, 8);
  putHex(c, 16);
  putHex(d, 24);
  return String.fromCharCode(...traceIdDigits) as TraceId;
}

export function spanIdFromWords(high: number, low: number): SpanId {
  return (hexOfWord(high) + hexOfWord(low)) as SpanId;
}

/** Spreads span ids over the slots of an index, by their words; some senders count their ids up. */
export function spanIdHash(high: number, low: number): number {
  const hash = Math.imul(high ^ Math.imul(low, 0x85ebca6b), 0xc2b2ae35);
  return hash ^ (hash >>> 15);
}

/** The four (trace) or two (span) big-endian 32-bit words of an id in hex. */
export function wordsOfHex(hex: string): readonly number[] {
  const words: number[] = [];
  for (let i = 0; i < hex.length; i += 8) words.push(wordAt(hex, i));
  return words;
}

/** Digit by digit takes half as long as `parseInt`, and several parts of a server ask for it once a trace. */
function wordAt(hex: string, start: number): number {
  let word = 0;
  for (let i = start; i < start + 8; i += 1) {
    const code = hex.charCodeAt(i);
    word = (word << 4) | (code < digitsEnd ? code & 15 : (code & 15) + 9);
  }
  return word >>> 0;
}

/** code of the first character behind the digits */
const digitsEnd = 58;

const hexDigits = Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
/** The codes of a trace id's digits, filled in for each one: a loop over traces makes them by the hundred thousand. */
const traceIdDigits = Array.from({ length: 32 }, () => 0);

function putHex(word: number, at: number): void {
  let rest = word;
  for (let i = at + 7; i >= at; i -= 1) {
    traceIdDigits[i] = hexDigits[rest & 15] as number;
    rest >>>= 4;
  }
}

function hexOfWord(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
