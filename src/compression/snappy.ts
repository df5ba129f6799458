/** What is wrong with compressed bytes, to stand behind "it ". */
export class DamageError extends Error {}

/**
 * Snappy to plain bytes, in both of its forms: a block, or a stream of framed blocks, whose checksums are verified; they are told
 * apart by content, for senders call both `snappy`. It comes in pieces: a block as one, of `outputMax` at most (more is a
 * RangeError), a stream in blocks of 64 KiB. Damage is a `DamageError`.
 */
export function* unsnap(bytes: Uint8Array, outputMax: number): Generator<Uint8Array> {
  if (startsWith(bytes, streamStart)) yield* unsnapStream(bytes);
  else yield unsnapBlock(bytes, outputMax);
}

/** A chunk of type 255 and length 6: `sNaPpY`. */
const streamStart = Buffer.from("ff060000734e61507059", "hex");
const chunkHeadBytes = 4;
const checksumBytes = 4;
const streamBlockBytesMax = 65_536;

function* unsnapStream(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    if (at + chunkHeadBytes > bytes.length) throw new DamageError("is cut off in the middle");
    const type = bytes[at] as number;
    const end = at + chunkHeadBytes + littleEndian(bytes, at + 1, 3);
    if (end > bytes.length) throw new DamageError("is cut off in the middle");
    const content = bytes.subarray(at + chunkHeadBytes, end);
    at = end;
    if (type > 1) {
      if (type < 0x80) throw new DamageError(`holds a chunk of type ${type}, which nobody knows`);
      continue;
    }
    const stored = content.subarray(checksumBytes);
    if (type === 0 && readLength(stored).value > streamBlockBytesMax)
      throw new DamageError("holds a block of more than 64 KiB");
    const plain = type === 1 ? stored : unsnapBlock(stored, streamBlockBytesMax);
    if (content.length < checksumBytes || maskedCrc(plain) !== littleEndian(content, 0, checksumBytes))
      throw new DamageError("has a wrong checksum");
    yield plain;
  }
}

/** The most that three bytes can stand for is 64: what claims more than that makes no sense, and no room is made for it. */
const growthMax = 22;

function unsnapBlock(bytes: Uint8Array, outputMax: number): Uint8Array {
  const { value: length, end: start } = readLength(bytes);
  if (length > outputMax) throw new RangeError(`${length} bytes are more than ${outputMax}`);
  if (length > bytes.length * growthMax) throw new DamageError("claims to hold more than it can");
  const plain = new Uint8Array(length);
  let to = 0;
  for (let at = start; at < bytes.length; ) {
    const tag = bytes[at] as number;
    const kind = tag & 3;
    at += 1;
    if (kind === 0) {
      const lengthBytes = Math.max(0, (tag >> 2) - 59);
      const size = (lengthBytes === 0 ? tag >> 2 : littleEndian(bytes, at, lengthBytes)) + 1;
      at += lengthBytes;
      if (at + size > bytes.length || to + size > length)
        throw new DamageError("holds a literal that is too long");
      plain.set(bytes.subarray(at, at + size), to);
      at += size;
      to += size;
      continue;
    }
    const offsetBytes = kind === 3 ? 4 : kind;
    const size = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const offset = littleEndian(bytes, at, offsetBytes) + (kind === 1 ? (tag >> 5) << 8 : 0);
    at += offsetBytes;
    if (offset === 0 || offset > to || to + size > length)
      throw new DamageError("holds a copy of what is not there");
    // Byte by byte: a copy may overlap what it writes.
    for (const copyEnd = to + size; to < copyEnd; to += 1) plain[to] = plain[to - offset] as number;
  }
  if (to < length) throw new DamageError("is cut off in the middle");
  return plain;
}

function readLength(bytes: Uint8Array): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = 0; at < 5; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) throw new DamageError(at === 0 ? "is empty" : "is cut off in the middle");
    value += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return { value, end: at + 1 };
  }
  throw new DamageError("does not begin with a length");
}

/** Bytes beyond the end count as 0: what they stand for is found to be too long then. */
function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i += 1) value += (bytes[at + i] ?? 0) * 2 ** (8 * i);
  return value;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, i) => bytes[i] === byte);
}

/** CRC-32C, byte by byte. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

/** The checksum as the framing stores it: rotated, and moved by a constant. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i += 1)
    crc = (crc >>> 8) ^ (crcTable[(crc ^ (bytes[i] as number)) & 0xff] as number);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
