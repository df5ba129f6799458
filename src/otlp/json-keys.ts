/** What stands for a key that a `KeySet` does not have, and for the end of an object. */
export const unknownKey = -1;
export const endOfObject = -2;

/** At least four ASCII characters that often stand in a text just so; compared four bytes at a time. */
export class Literal {
  readonly length: number;
  /** the characters as little-endian words, as many as fit */
  readonly words: Int32Array;
  /** the last four characters, some of which may be in `words` too */
  readonly lastWord: number;

  constructor(text: string) {
    const view = new DataView(bytesOf(text).buffer);
    this.length = text.length;
    this.words = Int32Array.from({ length: text.length >> 2 }, (_, i) => view.getInt32(i * 4, true));
    this.lastWord = view.getInt32(text.length - 4, true);
  }
}

interface KnownKey {
  readonly id: number;
  readonly name: Uint8Array;
  /** the key as it stands in compact JSON, quotes and colon included */
  readonly literal: Literal;
}

/**
 * The keys of one kind of object, each with a number: its position in the list. Names are found by bytes, in camelCase
 * and snake_case. Senders write the same keys in the same order all the time, so the key that last followed another is
 * tried first.
 */
export class KeySet {
  readonly #keys: KnownKey[] = [];
  /** slot -> index + 1 into the keys */
  readonly #slots = new Uint8Array(256);
  /** previous key's id + 2 -> the key that last came after it */
  readonly #followers: (KnownKey | null)[];

  constructor(names: readonly string[], aliases: Readonly<Record<string, string>> = {}) {
    names.forEach((name, id) => {
      this.#addSpellings(name, id);
    });
    for (const [alias, name] of Object.entries(aliases)) this.#addSpellings(alias, names.indexOf(name));
    this.#followers = Array.from({ length: names.length + 2 }, () => null);
  }

  follower(previous: number): KnownKey | null {
    return this.#followers[previous + 2] as KnownKey | null;
  }

  /** The id of the key in the bytes from `start` to `end`, or `unknownKey`. */
  find(bytes: Uint8Array, start: number, end: number, previous: number): number {
    for (let slot = slotOf(bytes, start, end); ; slot = (slot + 1) & 255) {
      const index = this.#slots[slot] as number;
      if (index === 0) return unknownKey;
      const key = this.#keys[index - 1] as KnownKey;
      if (!equalBytes(key.name, bytes, start, end)) continue;
      this.#followers[previous + 2] = key;
      return key.id;
    }
  }

  #addSpellings(name: string, id: number): void {
    this.#add(name, id);
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (snake !== name) this.#add(snake, id);
  }

  #add(text: string, id: number): void {
    const name = bytesOf(text);
    let slot = slotOf(name, 0, name.length);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & 255;
    this.#slots[slot] = this.#keys.push({ id, name, literal: new Literal(`"${text}":`) });
  }
}

function bytesOf(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (letter) => letter.charCodeAt(0));
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return 0;
  return ((end - start) * 29 + (bytes[start] as number) * 7 + (bytes[end - 1] as number)) & 255;
}

function equalBytes(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i += 1) if (name[i] !== bytes[start + i]) return false;
  return true;
}
