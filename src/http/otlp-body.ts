import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip, createInflate, gunzipSync, inflateSync } from "node:zlib";
import type { ByteBudget } from "../engine/byte-budget.ts";

export type ContentCoding = "identity" | "gzip" | "deflate";

/** Why there is no body. */
export type BodyFailure =
  | { readonly kind: "too_large" }
  | { readonly kind: "busy" }
  | { readonly kind: "aborted" }
  | { readonly kind: "corrupt"; readonly message: string };

/** Bytes of one request as they are taken from the shared budget; `giveBackAll` ends it. */
export class Reservation {
  readonly #budget: ByteBudget;
  #held = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  take(bytes: number): boolean {
    if (!this.#budget.take(bytes)) return false;
    this.#held += bytes;
    return true;
  }

  giveBackAll(): void {
    this.#budget.giveBack(this.#held);
    this.#held = 0;
  }
}

/** Compressed bodies above this size, or growing above `syncOutputMax`, are decompressed off the event loop. */
const syncInputMax = 256 * 1024;
const syncOutputMax = 4 * 1024 * 1024;

/**
 * A whole request body, decompressed. Both sizes are bounded by `bytesMax` and by the budget while bytes come in, so
 * that a bomb costs what the limit says and no more. What is left of a refused body is read and thrown away.
 */
export async function readBody(
  request: IncomingMessage,
  coding: ContentCoding,
  reservation: Reservation,
  bytesMax: number,
): Promise<Uint8Array | BodyFailure> {
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) return { kind: "too_large" };
  const received = await collect(request, reservation, bytesMax, () => ({ kind: "aborted" }));
  if (!(received instanceof Uint8Array) || coding === "identity") return received;
  if (received.length <= syncInputMax) {
    const output = decompressNow(received, coding, Math.min(syncOutputMax, bytesMax));
    if (output !== null) {
      if (!(output instanceof Uint8Array)) return output;
      return reservation.take(output.length) ? output : { kind: "busy" };
    }
  }
  return decompressInParts(received, coding, reservation, bytesMax);
}

/** Reads a stream to its end; `broken` says what an error of it means. What is left after a failure runs to nowhere. */
function collect(
  source: Readable,
  reservation: Reservation,
  bytesMax: number,
  broken: (error: Error) => BodyFailure,
): Promise<Uint8Array | BodyFailure> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const fail = (failure: BodyFailure): void => {
      chunks.length = 0;
      source.removeAllListeners("data");
      source.resume();
      resolve(failure);
    };
    source.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > bytesMax) fail({ kind: "too_large" });
      else if (!reservation.take(chunk.length)) fail({ kind: "busy" });
      else chunks.push(chunk);
    });
    source.on("end", () => {
      const [only] = chunks;
      resolve(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks, length));
    });
    source.on("error", (error) => fail(broken(error)));
    source.on("close", () => fail({ kind: "aborted" }));
  });
}

/** null = larger than `outputMax` */
function decompressNow(
  input: Uint8Array,
  coding: ContentCoding,
  outputMax: number,
): Uint8Array | BodyFailure | null {
  const options = { maxOutputLength: outputMax, chunkSize: outputChunk(input, coding, outputMax) };
  try {
    return coding === "gzip" ? gunzipSync(input, options) : inflateSync(input, options);
  } catch (error) {
    if (error instanceof RangeError) return null;
    return corrupt(error);
  }
}

function corrupt(error: unknown): BodyFailure {
  return { kind: "corrupt", message: error instanceof Error ? error.message : String(error) };
}

async function decompressInParts(
  input: Uint8Array,
  coding: ContentCoding,
  reservation: Reservation,
  bytesMax: number,
): Promise<Uint8Array | BodyFailure> {
  const options = { chunkSize: 256 * 1024 };
  const stream = coding === "gzip" ? createGunzip(options) : createInflate(options);
  stream.end(input);
  const output = await collect(stream, reservation, bytesMax, corrupt);
  stream.destroy();
  return output;
}

/** One chunk that holds the whole output is twice as fast as many: gzip's last four bytes tell how large, if they are true. */
function outputChunk(input: Uint8Array, coding: ContentCoding, outputMax: number): number {
  const tail = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const told =
    coding === "gzip" && tail.length >= 18 ? tail.readUInt32LE(tail.length - 4) + 1 : input.length * 8;
  return Math.min(outputMax, Math.max(1024, told));
}
