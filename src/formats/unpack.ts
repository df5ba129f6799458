import { containerLevelsMax } from "../model/limits.ts";
import { headBytes } from "./detect.ts";
import { gunzip } from "./gunzip.ts";

/** Content without what it was packed in. */
export interface Unpacked {
  /** the first bytes, for telling what it is */
  readonly head: Uint8Array;
  /** `head` is all there is */
  readonly isWhole: boolean;
  /** packed more often than anybody does on purpose: a bomb */
  readonly isTooDeep: boolean;
  /** all bytes from the beginning; once, and closed behind the last */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** for content that nobody wants to read on */
  close(): Promise<unknown>;
}

/** Takes gzip off, as often as it is there; `onDamage` hears of a truncated or damaged layer once its content has been read. */
export async function unpack(
  chunks: AsyncIterable<Uint8Array>,
  onDamage: (what: string) => void,
): Promise<Unpacked> {
  let content = await peek(chunks);
  for (let level = 0; isGzip(content.head) && level < containerLevelsMax; level += 1)
    content = await peek(gunzip(content.chunks, (what) => onDamage(`the gzip stream ${what}`)));
  return { ...content, isTooDeep: isGzip(content.head) };
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && head[2] === 8;
}

/** Reads the beginning, and gives it back with the rest. */
async function peek(chunks: AsyncIterable<Uint8Array>): Promise<Omit<Unpacked, "isTooDeep">> {
  const iterator = chunks[Symbol.asyncIterator]();
  const parts: Uint8Array[] = [];
  let length = 0;
  let isWhole = false;
  let failure: unknown = null;
  while (length < headBytes && !isWhole && failure === null) {
    try {
      const next = await iterator.next();
      if (next.done === true) isWhole = true;
      else {
        parts.push(next.value);
        length += next.value.length;
      }
    } catch (error) {
      // What was read before is used first.
      if (length === 0) throw error;
      failure = error;
    }
  }
  const start = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  return {
    head: start.subarray(0, headBytes),
    isWhole: isWhole && length <= headBytes,
    chunks: continued(parts, failure, iterator),
    close: async () => iterator.return?.(),
  };
}

async function* continued(
  start: readonly Uint8Array[],
  failure: unknown,
  iterator: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  try {
    yield* start;
    if (failure !== null) throw failure;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}
