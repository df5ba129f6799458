/** Random numbers that a seed alone decides (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    // neighbouring seeds must not begin alike
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
    for (let i = 0; i < 4; i += 1) this.below(2);
  }

  /** An integer from 0 to `end` - 1. */
  below(end: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % end;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/** No input grows beyond this: what is long only costs time. */
const lengthMax = 1 << 16;

const edgeBytes = [
  0, 1, 0x0a, 0x12, 0x7f, 0x80, 0x81, 0xc0, 0xed, 0xfe, 0xff, 34, 44, 58, 91, 92, 93, 123, 125,
];

/** One input made of others: a few changes on top of each other, of which most are small. */
export function mutate(
  random: Random,
  corpus: readonly Uint8Array[],
  dictionary: readonly Uint8Array[],
): Uint8Array {
  let bytes = Uint8Array.from(random.of(corpus));
  const changes = 1 << random.below(5);
  for (let i = 0; i < changes; i += 1) bytes = change(random, bytes, corpus, dictionary);
  return bytes.length > lengthMax ? bytes.subarray(0, lengthMax) : bytes;
}

function change(
  random: Random,
  bytes: Uint8Array<ArrayBuffer>,
  corpus: readonly Uint8Array[],
  dictionary: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const length = 1 << random.below(7);
  const inside = Math.min(at, Math.max(0, bytes.length - 1));
  switch (random.below(9)) {
    case 0:
      if (bytes.length > 0) bytes[inside] = (bytes[inside] as number) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (bytes.length > 0) bytes[inside] = random.of(edgeBytes);
      return bytes;
    case 2:
      if (bytes.length > 0) bytes[inside] = (bytes[inside] as number) + random.below(9) - 4;
      return bytes;
    case 3:
      return spliced(bytes, at, at + length, new Uint8Array(0));
    case 4:
      return spliced(bytes, at, at, bytes.subarray(at, at + length));
    case 5:
      return spliced(bytes, at, at, random.of(dictionary));
    case 6: {
      const word = random.of(dictionary);
      return spliced(bytes, at, at + word.length, word);
    }
    case 7: {
      const other = random.of(corpus);
      const from = random.below(other.length + 1);
      return spliced(bytes, at, at + length, other.subarray(from, from + (1 << random.below(9))));
    }
    default:
      // cut off, seldom: most of what is to be found lies behind a valid beginning
      return random.below(8) === 0 ? bytes.slice(0, at) : bytes;
  }
}

function spliced(bytes: Uint8Array, start: number, end: number, insert: Uint8Array): Uint8Array<ArrayBuffer> {
  const from = Math.min(start, bytes.length);
  const to = Math.min(end, bytes.length);
  const result = new Uint8Array(from + insert.length + bytes.length - to);
  result.set(bytes.subarray(0, from));
  result.set(insert, from);
  result.set(bytes.subarray(to), from + insert.length);
  return result;
}
