import { ZstdStream } from "../compression/zstd.ts";
import { packedMessageBytesMax } from "../model/limits.ts";

/**
 * Zstandard to plain bytes, all concatenated frames of it, with the memory of one window. What could be read of a truncated
 * or damaged stream is handed on; then `onDamage` hears what was wrong. Other bytes behind the last frame are ignored.
 */
export async function* unzstd(
  chunks: AsyncIterable<Uint8Array>,
  onDamage: (what: string) => void,
): AsyncIterable<Uint8Array> {
  const stream = await ZstdStream.open();
  try {
    for await (const chunk of chunks) {
      yield* stream.push(chunk);
      if (stream.isOver) break;
    }
    stream.end();
    if (stream.damage !== null) onDamage(stream.damage);
  } finally {
    stream.close();
  }
}

/**
 * The messages of a file whose writer packed each alone, behind its length in four bytes (collectors before 2026), as the
 * file would be without packing: JSON lines, or protobuf messages behind their lengths. A message that cannot be unpacked is
 * left out.
 */
export async function* unzstdMessages(
  chunks: AsyncIterable<Uint8Array>,
  onDamage: (what: string) => void,
): AsyncIterable<Uint8Array> {
  const damaged = new DamagedMessages();
  let isJson: boolean | null = null;
  for await (const { packed, offset } of packedMessages(chunks, damaged)) {
    const plain = await unpackedMessage(packed);
    if (typeof plain === "string") damaged.add(offset, plain);
    else if (plain.length > 0) {
      isJson ??= plain[0] === openBrace || plain[0] === openBracket;
      yield isJson ? plain : lengthOf(plain);
      yield isJson ? lineEnd : plain;
    }
  }
  if (damaged.count > 0) onDamage(damaged.sentence());
}

const openBrace = 0x7b;
const openBracket = 0x5b;
const lineEnd = Buffer.from("\n");
const lengthBytes = 4;

interface PackedMessage {
  readonly packed: Uint8Array;
  readonly offset: number;
}

/** Counts what cannot be used, and remembers the first. */
class DamagedMessages {
  count = 0;
  #first = "";

  add(offset: number, why: string): void {
    if (this.count === 0) this.#first = `the message at byte ${offset} ${why}`;
    this.count += 1;
  }

  sentence(): string {
    const more = this.count - 1;
    return `${this.#first}${more > 0 ? `; ${more} more were left out too` : ""}`;
  }
}

async function* packedMessages(
  chunks: AsyncIterable<Uint8Array>,
  damaged: DamagedMessages,
): AsyncIterable<PackedMessage> {
  let parts: Uint8Array[] = [];
  let held = 0;
  let offset = 0;
  /** of the message at `offset` with its length in front, once that is known */
  let needed = lengthBytes;
  for await (const chunk of chunks) {
    parts.push(chunk.slice());
    held += chunk.length;
    if (held < needed) continue;
    let bytes = Buffer.concat(parts);
    for (;;) {
      const size: number = bytes.length < lengthBytes ? 0 : bytes.readUInt32BE(0);
      needed = lengthBytes + size;
      if (size > packedMessageBytesMax) {
        damaged.add(offset, `claims to be ${size} bytes long; what follows is skipped`);
        return;
      }
      if (bytes.length < needed) break;
      if (size > 0) yield { packed: bytes.subarray(lengthBytes, needed), offset };
      bytes = bytes.subarray(needed);
      offset += needed;
    }
    parts = [bytes];
    held = bytes.length;
  }
  if (held > 0) damaged.add(offset, "is cut off");
}

/** The content, or what is wrong with it. */
async function unpackedMessage(packed: Uint8Array): Promise<Uint8Array | string> {
  const stream = await ZstdStream.open();
  try {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (const plain of stream.push(packed)) {
      length += plain.length;
      if (length > packedMessageBytesMax) return `unpacks to more than ${packedMessageBytesMax} bytes`;
      parts.push(plain);
    }
    stream.end();
    return stream.damage ?? (parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts));
  } finally {
    stream.close();
  }
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32BE(bytes.length);
  return length;
}
