import { zeroRunBytesMax } from "../model/limits.ts";

const zeros = Buffer.alloc(1 << 16);

/**
 * Content up to where it holds nothing but zeros for longer than any crash leaves behind: a sparse file, or a bomb, that
 * would take minutes to read and hold nothing. `onCut` hears of it.
 */
export async function* untilZeros(
  chunks: AsyncIterable<Uint8Array>,
  onCut: (what: string) => void,
): AsyncIterable<Uint8Array> {
  let run = 0;
  for await (const chunk of chunks) {
    run = isZero(chunk) ? run + chunk.length : 0;
    if (run > zeroRunBytesMax) {
      onCut(`it holds nothing but zeros for ${zeroRunBytesMax >> 20} MiB; what follows is not read`);
      return;
    }
    yield chunk;
  }
}

function isZero(chunk: Uint8Array): boolean {
  // mostly the first byte tells
  if (chunk[0] !== 0) return false;
  for (let at = 0; at < chunk.length; at += zeros.length) {
    const part = chunk.subarray(at, at + zeros.length);
    if (zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}
