import { compress, init } from "@bokuweb/zstd-wasm";

await init();

/** One frame, as an encoder writes it that knows the whole content. */
export function zstdFrame(content: string | Uint8Array, level = 3): Buffer {
  return Buffer.from(compress(Buffer.from(content), level));
}

/** A frame that decoders have to pass over. */
export function skippableFrame(content: Uint8Array): Buffer {
  const head = Buffer.from("5a2a4d1800000000", "hex");
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
}

/** A frame of zeros that does not say how many there are: 128 KiB from four bytes, as dense as zstd can be. */
export function zstdBomb(bytes: number): Buffer {
  const blockBytes = 128 * 1024;
  const blocks = Array.from(
    { length: Math.ceil(bytes / blockBytes) },
    (_, i, last = (i + 1) * blockBytes >= bytes) => {
      const block = Buffer.alloc(4);
      block.writeUIntLE((blockBytes << 3) | (1 << 1) | Number(last), 0, 3);
      return block;
    },
  );
  // no checksum, no size, a window of 8 MiB
  return Buffer.concat([Buffer.from("28b52ffd0068", "hex"), ...blocks]);
}

/** A small frame with a checksum behind its content, which is `hypocenter` three times. */
export const frameWithChecksum = Buffer.from(
  "28b52ffd04688d0000586879706f63656e746572200100fe8a1762d36cb1",
  "hex",
);
