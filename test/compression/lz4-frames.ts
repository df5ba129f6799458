import { XxHash32 } from "../../src/compression/xx-hash.ts";

/** A frame of LZ4 as the collector writes them: blocks that stand alone, a checksum behind the last. */
export function lz4Frame(content: Uint8Array, blockBytes = 65_536): Buffer {
  const parts: Uint8Array[] = [frameHead];
  for (let at = 0; at < content.length; at += blockBytes) {
    const block = packBlock(content.subarray(at, at + blockBytes));
    parts.push(uint32(block.length), block);
  }
  return Buffer.concat([...parts, uint32(0), uint32(XxHash32.of(content))]);
}

/** Zeros, a thousand times as long as what comes of them. */
export function lz4Bomb(blocks: number): Buffer {
  const zeros = lz4Frame(new Uint8Array(blockBytesMax), blockBytesMax);
  const block = zeros.subarray(7, -8);
  return Buffer.concat([frameHead, ...Array.from({ length: blocks }, () => block), zeros.subarray(-8)]);
}

const blockBytesMax = 4 << 20;
/** version 1, blocks that stand alone and are 4 MiB at most, a checksum of the content */
const frameHead = Buffer.from("04224d186470b9", "hex");

/** Literals, and copies of what the four bytes that come next began with before. */
function packBlock(content: Uint8Array): Buffer {
  const parts: Uint8Array[] = [];
  const seen = new Map<number, number>();
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let start = 0;
  // the format wants the last bytes to be literals
  for (let at = 0; at + 12 < content.length; ) {
    const known = seen.get(view.getUint32(at));
    seen.set(view.getUint32(at), at);
    let size = 0;
    if (known !== undefined && at - known < 65_536)
      while (at + size < content.length - 5 && content[known + size] === content[at + size]) size += 1;
    if (size < 4) {
      at += 1;
      continue;
    }
    const offset = at - (known as number);
    parts.push(
      sequence(content.subarray(start, at), size - 4),
      Uint8Array.of(offset & 255, offset >> 8),
      more(size - 4),
    );
    at += size;
    start = at;
  }
  return Buffer.concat([...parts, sequence(content.subarray(start), 0)]);
}

function sequence(literals: Uint8Array, copied: number): Buffer {
  const token = (Math.min(15, literals.length) << 4) | Math.min(15, copied);
  return Buffer.concat([Uint8Array.of(token), more(literals.length), literals]);
}

function more(size: number): Uint8Array {
  if (size < 15) return new Uint8Array(0);
  return Buffer.concat([Buffer.alloc(Math.floor((size - 15) / 255), 255), Uint8Array.of((size - 15) % 255)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
