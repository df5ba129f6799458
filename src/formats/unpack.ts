import { containerLevelsMax } from "../model/limits.ts";
import { headBytes } from "./detect.ts";
import { gunzip } from "./gunzip.ts";
import { unzstd, unzstdMessages } from "./unzstd.ts";

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

/**
 * Takes gzip and zstd off, as often as they are there; `onDamage` hears of a truncated or damaged layer once its content has
 * been read.
 */
export async function unpack(
  chunks: AsyncIterable<Uint8Array>,
  onDamage: (what: string) => void,
): Promise<Unpacked> {
  let content = await peek(chunks);
  let container = containerOf(content.head);
  for (let level = 0; container !== null && level < containerLevelsMax; level += 1) {
    const { name, open } = container;
    content = await peek(open(content.chunks, (what) => onDamage(`the ${name} ${what}`)));
    container = containerOf(content.head);
  }
  return { ...content, isTooDeep: container !== null };
}

interface Container {
  /** in the words of a problem */
  readonly name: string;
  readonly open: typeof gunzip;
  readonly isAt: (head: Uint8Array) => boolean;
}

const containers: readonly Container[] = [
  { name: "gzip stream", open: gunzip, isAt: (head) => startsWith(head, [0x1f, 0x8b, 0x08], 0) },
  { name: "zstd stream", open: unzstd, isAt: isZstd },
  { name: "zstd messages:", open: unzstdMessages, isAt: (head) => startsWith(head, zstdMagic, 4) },
];

const zstdMagic = [0x28, 0xb5, 0x2f, 0xfd];

function containerOf(head: Uint8Array): Container | null {
  return containers.find(({ isAt }) => isAt(head)) ?? null;
}

/** A frame, or one to be skipped: those begin with any of sixteen bytes. */
function isZstd(head: Uint8Array): boolean {
  const isSkippable = ((head[0] ?? 0) & 0xf0) === 0x50 && startsWith(head, [0x2a, 0x4d, 0x18], 1);
  return isSkippable || startsWith(head, zstdMagic, 0);
}

function startsWith(head: Uint8Array, magic: readonly number[], at: number): boolean {
  return magic.every((byte, i) => head[at + i] === byte);
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
        parts.push(next.value.slice());
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
