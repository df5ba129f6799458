import { createGunzip } from "node:zlib";

/** Compressed bytes handed over at once: deflate grows at most about 1,030-fold, so a bomb gets 17 MB ahead of its reader. */
const sliceBytes = 16 * 1024;

/**
 * Gzip to plain bytes, all concatenated members of it, with constant memory. What could be read of a truncated or damaged
 * stream is handed on; then `onDamage` hears what was wrong. Zeros and other bytes behind the last member are ignored.
 */
export async function* gunzip(
  chunks: AsyncIterable<Uint8Array>,
  onDamage: (what: string) => void,
): AsyncIterable<Uint8Array> {
  const inflate = new Inflate();
  try {
    let pending: Promise<void> | null = null;
    for await (const chunk of chunks) {
      if (inflate.isOver) break;
      for (let at = 0; at < chunk.length && !inflate.isOver; at += sliceBytes) {
        await pending;
        const plain = inflate.take();
        // The next slice is inflated on another thread while the caller works on this one.
        pending = inflate.write(chunk.subarray(at, at + sliceBytes));
        yield* plain;
      }
      await pending;
    }
    if (!inflate.isOver) await inflate.end();
    yield* inflate.take();
    if (inflate.damage !== null) onDamage(inflate.damage);
  } finally {
    inflate.close();
  }
}

class Inflate {
  /** what is wrong with the stream; null as long as nothing is */
  damage: string | null = null;
  /** nothing more comes: the stream is damaged, or something else follows its last member */
  isOver = false;
  readonly #stream = createGunzip({ chunkSize: 128 * 1024 });
  #plain: Uint8Array[] = [];
  #wake: () => void = () => {};

  constructor() {
    this.#stream.on("data", (plain: Uint8Array) => this.#plain.push(plain));
    this.#stream.on("error", (error: Error & { code?: string }) => {
      this.damage =
        error.code === "Z_BUF_ERROR" ? "is cut off in the middle" : `is damaged (${error.message})`;
      this.isOver = true;
      this.#wake();
    });
    this.#stream.on("end", () => {
      this.isOver = true;
      this.#wake();
    });
  }

  take(): readonly Uint8Array[] {
    const plain = this.#plain;
    this.#plain = [];
    return plain;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#stream.write(bytes, () => resolve());
    });
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#stream.end();
    });
  }

  close(): void {
    this.#stream.destroy();
  }
}
