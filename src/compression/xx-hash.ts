/** XXH32 with seed 0, over bytes that come in parts. */
export class XxHash32 {
  readonly #lanes = Uint32Array.of(prime1 + prime2, prime2, 0, -prime1);
  readonly #stripe = new Uint8Array(stripeBytes);
  #filled = 0;
  #length = 0;

  static of(bytes: Uint8Array): number {
    const hash = new XxHash32();
    hash.add(bytes);
    return hash.digest();
  }

  add(bytes: Uint8Array): void {
    this.#length += bytes.length;
    let at = 0;
    if (this.#filled > 0) {
      at = Math.min(stripeBytes - this.#filled, bytes.length);
      this.#stripe.set(bytes.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < stripeBytes) return;
      this.#mix(this.#stripe, 0, stripeBytes);
      this.#filled = 0;
    }
    const end = at + Math.floor((bytes.length - at) / stripeBytes) * stripeBytes;
    this.#mix(bytes, at, end);
    this.#stripe.set(bytes.subarray(end));
    this.#filled = bytes.length - end;
  }

  digest(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#lanes;
    let hash =
      this.#length < stripeBytes ? prime5 : rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    hash = (hash + this.#length) | 0;
    const rest = new DataView(this.#stripe.buffer, 0, this.#filled);
    let at = 0;
    for (; at + 4 <= this.#filled; at += 4)
      hash = Math.imul(rotate((hash + Math.imul(rest.getUint32(at, true), prime3)) | 0, 17), prime4);
    for (; at < this.#filled; at += 1)
      hash = Math.imul(rotate((hash + Math.imul(rest.getUint8(at), prime5)) | 0, 11), prime1);
    hash = Math.imul(hash ^ (hash >>> 15), prime2);
    hash = Math.imul(hash ^ (hash >>> 13), prime3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #mix(bytes: Uint8Array, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    let [a = 0, b = 0, c = 0, d = 0] = this.#lanes;
    for (let at = start; at < end; at += stripeBytes) {
      a = round(a, view.getUint32(at, true));
      b = round(b, view.getUint32(at + 4, true));
      c = round(c, view.getUint32(at + 8, true));
      d = round(d, view.getUint32(at + 12, true));
    }
    this.#lanes.set([a, b, c, d]);
  }
}

const stripeBytes = 16;
const prime1 = 0x9e3779b1 | 0;
const prime2 = 0x85ebca77 | 0;
const prime3 = 0xc2b2ae3d | 0;
const prime4 = 0x27d4eb2f;
const prime5 = 0x165667b1;

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, prime2)) | 0, 13), prime1);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
