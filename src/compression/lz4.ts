import { DamageError } from "./snappy.ts";
import { XxHash32 } from "./xx-hash.ts";

/**
 * Frames of LZ4, one behind the other, to plain bytes: the form that OpenTelemetry's collector and the `lz4` program write. They
 * come block by block, of 4 MiB at most; checksums are verified. An empty piece stands for a frame's end. Damage is a `DamageError`.
 */
export function* unlz4(bytes: Uint8Array): Generator<Uint8Array> {
  if (bytes.length === 0) throw new DamageError("is empty");
  const room = new Room();
  for (let at = 0; at < bytes.length; ) {
    const magic = uint32(bytes, at);
    const isSkippable = magic >= skippableMagic && magic < skippableMagic + 16;
    if (!isSkippable && magic !== frameMagic) throw new DamageError("does not begin as a frame does");
    if (isSkippable) at = within(bytes, at + 8 + uint32(bytes, at + 4));
    else at = yield* readFrame(bytes, at + 4, room);
    yield nothing;
  }
}

const frameMagic = 0x184d2204;
const skippableMagic = 0x184d2a50;
const nothing = new Uint8Array(0);
/** A copy may reach back this far, into the blocks before where these are linked. */
const windowBytes = 65_536;
/** What one compressed byte can stand for at most. */
const growthMax = 255;
const lastBlock = 0;
const storedFlag = 0x8000_0000;

interface FrameHead {
  readonly end: number;
  readonly blockBytesMax: number;
  readonly isLinked: boolean;
  readonly hasBlockChecksums: boolean;
  readonly hasChecksum: boolean;
  /** null = not told */
  readonly length: number | null;
}

/** The frame whose magic number ends at `start`; answers where it ends. */
function* readFrame(bytes: Uint8Array, start: number, room: Room): Generator<Uint8Array, number> {
  const head = readHead(bytes, start);
  const hash = new XxHash32();
  let length = 0;
  room.clear();
  let at = head.end;
  for (;;) {
    const size = uint32(bytes, at);
    at += 4;
    if (size === lastBlock) break;
    const block = bytes.subarray(at, within(bytes, at + (size % storedFlag)));
    at += block.length;
    if (head.hasBlockChecksums) {
      if (XxHash32.of(block) !== uint32(bytes, at)) throw new DamageError("has a wrong checksum");
      at += 4;
    }
    if (!head.isLinked) room.clear();
    const plain =
      size >= storedFlag ? room.store(block, head.blockBytesMax) : room.unpack(block, head.blockBytesMax);
    if (head.hasChecksum) hash.add(plain);
    length += plain.length;
    yield plain;
  }
  if (head.length !== null && head.length !== length)
    throw new DamageError("has another length than it says");
  if (!head.hasChecksum) return at;
  if (hash.digest() !== uint32(bytes, at)) throw new DamageError("has a wrong checksum");
  return at + 4;
}

function readHead(bytes: Uint8Array, start: number): FrameHead {
  const flags = bytes[within(bytes, start + 2) - 2] as number;
  const size = ((bytes[start + 1] as number) >> 4) & 7;
  if (flags >> 6 !== 1 || size < 4) throw new DamageError("has a head that nobody knows");
  if ((flags & 1) !== 0) throw new DamageError("needs a dictionary");
  const hasLength = (flags & 8) !== 0;
  const end = within(bytes, start + 2 + (hasLength ? 8 : 0) + 1);
  if (((XxHash32.of(bytes.subarray(start, end - 1)) >>> 8) & 0xff) !== bytes[end - 1])
    throw new DamageError("has a wrong checksum");
  return {
    end,
    blockBytesMax: 2 ** (8 + 2 * size),
    isLinked: (flags & 0x20) === 0,
    hasBlockChecksums: (flags & 0x10) !== 0,
    hasChecksum: (flags & 4) !== 0,
    length: hasLength ? uint32(bytes, start + 2) + uint32(bytes, start + 6) * 2 ** 32 : null,
  };
}

/** Where blocks are unpacked, behind what copies may reach back to. */
class Room {
  #bytes = new Uint8Array(windowBytes);
  #start = 0;

  /** Nothing is behind the next block. */
  clear(): void {
    this.#start = 0;
  }

  store(block: Uint8Array, sizeMax: number): Uint8Array {
    if (block.length > sizeMax) throw new DamageError("holds a block that is too long");
    this.#makeRoom(block.length);
    this.#bytes.set(block, this.#start);
    this.#keepWindow(this.#start + block.length);
    return block;
  }

  unpack(block: Uint8Array, sizeMax: number): Uint8Array {
    const room = Math.min(sizeMax, block.length * growthMax);
    this.#makeRoom(room);
    const end = unpackBlock(block, this.#bytes.subarray(0, this.#start + room), this.#start);
    const plain = this.#bytes.slice(this.#start, end);
    this.#keepWindow(end);
    return plain;
  }

  #makeRoom(length: number): void {
    if (this.#start + length <= this.#bytes.length) return;
    const larger = new Uint8Array(windowBytes + length);
    larger.set(this.#bytes.subarray(0, this.#start));
    this.#bytes = larger;
  }

  #keepWindow(end: number): void {
    const from = Math.max(0, end - windowBytes);
    if (from > 0) this.#bytes.copyWithin(0, from, end);
    this.#start = end - from;
  }
}

/** Literals and copies in turn, from `at` on in `plain`; answers where they end there. */
function unpackBlock(block: Uint8Array, plain: Uint8Array, start: number): number {
  let to = start;
  for (let at = 0; ; ) {
    const token = byteAt(block, at++);
    let size = token >> 4;
    for (let more = size === 15 ? 255 : 0; more === 255; size += more) more = byteAt(block, at++);
    if (at + size > block.length) throw new DamageError("is cut off in the middle");
    if (to + size > plain.length) throw new DamageError("holds a block that is too long");
    if (size > 32) plain.set(block.subarray(at, at + size), to);
    else for (let i = 0; i < size; i += 1) plain[to + i] = block[at + i] as number;
    at += size;
    to += size;
    if (at === block.length) return to;
    const offset = byteAt(block, at) + byteAt(block, at + 1) * 256;
    at += 2;
    size = token & 15;
    for (let more = size === 15 ? 255 : 0; more === 255; size += more) more = byteAt(block, at++);
    size += 4;
    if (offset === 0 || offset > to) throw new DamageError("holds a copy of what is not there");
    if (to + size > plain.length) throw new DamageError("holds a block that is too long");
    // A copy may overlap what it writes: what it has written so far is there to be copied too.
    const end = to + size;
    const from = to - offset;
    if (size <= 32) for (; to < end; to += 1) plain[to] = plain[to - offset] as number;
    while (to < end) {
      const whole = Math.min(to - from, end - to);
      plain.copyWithin(to, from, from + whole);
      to += whole;
    }
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new DamageError("is cut off in the middle");
  return byte;
}

function uint32(bytes: Uint8Array, at: number): number {
  within(bytes, at + 4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new DamageError("is cut off in the middle");
  return end;
}
