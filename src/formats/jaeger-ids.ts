/** An id in text: hex of any length up to `count` words, else hashed; false if it is empty or all zero. */
export function readId(
  text: Uint8Array,
  start: number,
  end: number,
  words: Uint32Array,
  count: 2 | 4,
): boolean {
  words.fill(0);
  if (start === end) return false;
  if (end - start > count * 8 || !readHex(text, start, end, words, count))
    hashId(text, start, end, words, count);
  return words[0] !== 0 || words[1] !== 0 || (count === 4 && (words[2] !== 0 || words[3] !== 0));
}

/** Hex digits, right-aligned; false where something else stands among them. */
function readHex(text: Uint8Array, start: number, end: number, words: Uint32Array, count: number): boolean {
  let wordEnd = end;
  for (let word = count - 1; word >= 0; word -= 1) {
    let value = 0;
    for (let at = Math.max(start, wordEnd - 8); at < wordEnd; at += 1) {
      const code = text[at] as number;
      const digit = code < 0x3a ? code - 0x30 : (code | 0x20) - 0x57;
      if (digit < 0 || digit > 15 || (code >= 0x3a && digit < 10)) return false;
      value = (value << 4) | digit;
    }
    words[word] = value;
    wordEnd = Math.max(start, wordEnd - 8);
  }
  return true;
}

/** A text that is no id as one: equal texts are equal ids, and all words depend on all of it (FNV-1a, then mixed). */
function hashId(text: Uint8Array, start: number, end: number, words: Uint32Array, count: number): void {
  for (let word = 0; word < count; word += 1) {
    let hash = 0x811c9dc5 ^ Math.imul(word + 1, 0x9e3779b1);
    for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (text[at] as number), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    words[word] = hash ^ (hash >>> 13);
  }
}

/** Ids may be numbers, too. */
export function startsNumber(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d;
}
