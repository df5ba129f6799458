/** Words of 64 bytes: all bits of a hash lie in one such block, so that a look costs one cache line. */
const blockWords = 16;
const blockBits = blockWords * 32;
const bitsPerHash = 6;

/** How many words a filter of so many hashes has, so that it lets through less than one in a hundred others. */
export function filterWordsFor(hashes: number): number {
  return blockWords * Math.ceil((hashes * 12) / blockBits);
}

/**
 * Says of a 32-bit hash that it is not there, or that it may be. A Bloom filter in blocks (Putze, Sanders, Singler: Cache-, Hash- and
 * Space-Efficient Bloom Filters, 2007).
 */
export class HashFilter {
  readonly words: Uint32Array;

  /** `words` = a whole number of blocks, none for a filter of nothing */
  constructor(words: Uint32Array) {
    this.words = words;
  }

  add(hash: number): void {
    const block = this.#blockOf(hash);
    const first = mixed(hash);
    const second = mixed(first + 1);
    for (let i = 0; i < bitsPerHash; i += 1) {
      const bits = (i < 3 ? first : second) >>> ((i % 3) * 9);
      const word = block + ((bits >>> 5) & 15);
      this.words[word] = ((this.words[word] as number) | (1 << (bits & 31))) >>> 0;
    }
  }

  mayHold(hash: number): boolean {
    if (this.words.length === 0) return false;
    const block = this.#blockOf(hash);
    const first = mixed(hash);
    const second = mixed(first + 1);
    for (let i = 0; i < bitsPerHash; i += 1) {
      const bits = (i < 3 ? first : second) >>> ((i % 3) * 9);
      if (((this.words[block + ((bits >>> 5) & 15)] as number) & (1 << (bits & 31))) === 0) return false;
    }
    return true;
  }

  #blockOf(hash: number): number {
    return Math.floor((hash / 2 ** 32) * (this.words.length / blockWords)) * blockWords;
  }
}

function mixed(hash: number): number {
  const mix = Math.imul(hash ^ (hash >>> 16) ^ 0x5bd1e995, 0x7feb352d);
  return Math.imul(mix ^ (mix >>> 15), 0x846ca68b) >>> 0;
}
