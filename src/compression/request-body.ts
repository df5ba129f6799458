import type { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { createGunzip, createInflate, gunzipSync, inflateSync } from "node:zlib";
import type { ByteBudget, ClientUse } from "../engine/byte-budget.ts";
import { contentKindOf } from "../model/content-kind.ts";
import { unlz4 } from "./lz4.ts";
import { DamageError, unsnap } from "./snappy.ts";
import { ZstdStream } from "./zstd.ts";

export type ContentCoding = "identity" | "gzip" | "deflate" | "zstd" | "snappy" | "lz4";

/** What Content-Encoding says, or null: something else, or several codings. */
export function contentCodingOf(header: string | undefined): ContentCoding | null {
  const name = (header ?? "").trim().toLowerCase();
  if (name === "") return "identity";
  return contentCodings.get(name) ?? null;
}

const contentCodings: ReadonlyMap<string, ContentCoding> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["zlib", "deflate"],
  ["zstd", "zstd"],
  ["snappy", "snappy"],
  ["x-snappy-framed", "snappy"],
  ["lz4", "lz4"],
  ["identity", "identity"],
]);

/** For error messages. */
export const contentCodingNames = "gzip, deflate, zstd, snappy, lz4 or identity";

/** Why there is no body. */
export type BodyFailure =
  | { readonly kind: "too_large" }
  | NoRoom
  | { readonly kind: "aborted" }
  | { readonly kind: "corrupt"; readonly message: string };

/** Everybody together holds too much, or the client of the request alone. */
type NoRoom = { readonly kind: "busy" | "over_share" };

/** Bytes of one request as they are taken from the shared budget; `giveBackAll` ends it. */
export class Reservation {
  readonly #budget: ByteBudget;
  readonly #client: ClientUse;
  #held = 0;

  /** `client` = whom the request counts for */
  constructor(budget: ByteBudget, client: string) {
    this.#budget = budget;
    this.#client = budget.enter(client);
  }

  /** null = they are taken */
  take(bytes: number): NoRoom | null {
    if (this.#budget.isOverShare(this.#client, bytes)) return { kind: "over_share" };
    if (!this.#budget.take(bytes)) return { kind: "busy" };
    this.#client.bytes += bytes;
    this.#held += bytes;
    return null;
  }

  giveBackAll(): void {
    this.#budget.giveBack(this.#held);
    this.#client.bytes -= this.#held;
    this.#held = 0;
    this.#budget.leave(this.#client);
  }
}

/**
 * Compressed bodies above this size, or growing above `smallOutputMax`, are large: they are decompressed one after the other,
 * in parts that leave the event loop free. However many bombs come at once, one at a time takes memory.
 */
const smallInputMax = 256 * 1024;
const smallOutputMax = 4 * 1024 * 1024;

/**
 * A request body as it is sent, read to its end. Its size is bounded by `bytesMax` and by the budget while bytes come in.
 * What is left of a refused body is read and thrown away.
 */
export function collectBody(
  source: Readable,
  reservation: Reservation,
  bytesMax: number,
): Promise<Uint8Array | BodyFailure> {
  return collect(source, reservation, bytesMax, () => ({ kind: "aborted" }));
}

/** A body that has been received. */
export interface UnpackedBody {
  /** its plain bytes */
  readonly body: Uint8Array;
  /** as it came, if that was gzip */
  readonly gzip?: Uint8Array;
}

/** The plain bytes of a body, bounded in the same way while they come out: a bomb costs what the limit says and no more. */
export async function unpackBody(
  packed: PackedBody,
  reservation: Reservation,
): Promise<UnpackedBody | BodyFailure> {
  const { bytes, coding } = packed;
  if (coding === "identity") return { body: bytes };
  const output = await decompress({ ...packed, coding }, reservation);
  if (output instanceof Uint8Array)
    return coding === "gzip" ? { body: output, gzip: bytes } : { body: output };
  if (output.kind !== "corrupt") return output;
  const kind = contentKindOf(bytes);
  return kind === null || kind === coding
    ? output
    : { ...output, message: `${output.message} (the body looks like ${kind})` };
}

async function decompress(
  packed: CompressedBody,
  reservation: Reservation,
): Promise<Uint8Array | BodyFailure> {
  const { bytes } = packed;
  if (bytes.length <= smallInputMax) {
    const output = await decompressSmall(packed);
    if (output !== null) {
      if (!(output instanceof Uint8Array)) return output;
      return reservation.take(output.length) ?? output;
    }
  }
  // Who has waited too long for an answer is gone.
  return inTurn(async () => (packed.isGone() ? { kind: "aborted" } : decompressLarge(packed, reservation)));
}

export interface PackedBody {
  readonly coding: ContentCoding;
  readonly bytes: Uint8Array;
  /** of the body, decompressed */
  readonly bytesMax: number;
  /** whether nobody waits for it any more */
  readonly isGone: () => boolean;
}

interface CompressedBody extends PackedBody {
  readonly coding: Exclude<ContentCoding, "identity">;
}

/** Reads a stream to its end; `broken` says what an error of it means. What is left after a failure runs to nowhere. */
function collect(
  source: Readable,
  reservation: Reservation,
  bytesMax: number,
  broken: (error: Error) => BodyFailure,
): Promise<Uint8Array | BodyFailure> {
  return new Promise((resolve) => {
    const parts = new Parts();
    const fail = (failure: BodyFailure): void => {
      parts.clear();
      source.removeAllListeners("data");
      source.resume();
      resolve(failure);
    };
    source.on("data", (chunk: Buffer) => {
      const failure: BodyFailure | null =
        parts.length + chunk.length > bytesMax ? { kind: "too_large" } : reservation.take(chunk.length);
      if (failure === null) parts.push(chunk);
      else fail(failure);
    });
    source.on("end", () => resolve(parts.join()));
    source.on("error", (error) => fail(broken(error)));
    source.on("close", () => fail({ kind: "aborted" }));
  });
}

/**
 * Chunks as they come. Small ones are copied together once there are many: an object for each byte would take a hundred
 * times the memory that the budget knows of.
 */
class Parts {
  length = 0;
  readonly #chunks: Buffer[] = [];
  /** where small chunks are copied to, `#filled` bytes so far */
  #room = noRoom;
  #filled = 0;

  push(chunk: Buffer): void {
    this.length += chunk.length;
    if (chunk.length >= smallChunkMax || this.#chunks.length < chunksAsTheyAreMax) {
      this.#seal();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#filled + chunk.length > this.#room.length) {
      this.#seal();
      this.#room = Buffer.allocUnsafeSlow(roomBytes);
    }
    this.#filled += chunk.copy(this.#room, this.#filled);
  }

  join(): Uint8Array {
    this.#seal();
    const [only] = this.#chunks;
    return only !== undefined && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks, this.length);
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#room = noRoom;
    this.#filled = 0;
  }

  #seal(): void {
    if (this.#filled === 0) return;
    this.#chunks.push(this.#room.subarray(0, this.#filled));
    this.#room = this.#room.subarray(this.#filled);
    this.#filled = 0;
  }
}

const noRoom = Buffer.alloc(0);
const roomBytes = 64 * 1024;
const smallChunkMax = 4 * 1024;
const chunksAsTheyAreMax = 32;

/** null = not small when decompressed */
async function decompressSmall({
  coding,
  bytes,
  bytesMax,
}: CompressedBody): Promise<Uint8Array | BodyFailure | null> {
  const outputMax = Math.min(smallOutputMax, bytesMax);
  if (coding !== "gzip" && coding !== "deflate") {
    const output = await inPieces({ coding, bytes, bytesMax: outputMax }, null);
    return output instanceof Uint8Array || output.kind !== "too_large" ? output : null;
  }
  const told = toldLength(coding, bytes);
  if (told > outputMax) return null;
  // One chunk that holds the whole output is twice as fast as many.
  const options = { maxOutputLength: outputMax, chunkSize: Math.min(outputMax, Math.max(1024, told)) };
  try {
    return coding === "gzip" ? gunzipSync(bytes, options) : inflateSync(bytes, options);
  } catch (error) {
    return error instanceof RangeError ? null : corrupt(error);
  }
}

/** How long the output says it is, in gzip's last four bytes, or how long it may be. */
function toldLength(coding: "gzip" | "deflate", bytes: Uint8Array): number {
  if (coding === "deflate" || bytes.length < 18) return bytes.length * 8;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4, true) + 1;
}

function corrupt(error: unknown): BodyFailure {
  return { kind: "corrupt", message: error instanceof Error ? error.message : String(error) };
}

async function decompressLarge(
  { coding, bytes, bytesMax }: CompressedBody,
  reservation: Reservation,
): Promise<Uint8Array | BodyFailure> {
  if (coding !== "gzip" && coding !== "deflate") return inPieces({ coding, bytes, bytesMax }, reservation);
  const options = { chunkSize: 256 * 1024 };
  const stream = coding === "gzip" ? createGunzip(options) : createInflate(options);
  stream.end(bytes);
  const output = await collect(stream, reservation, bytesMax, corrupt);
  stream.destroy();
  return output;
}

interface BodyInPieces {
  readonly coding: "zstd" | "snappy" | "lz4";
  readonly bytes: Uint8Array;
  readonly bytesMax: number;
}

/** With a reservation the bytes are taken from it as they come, and others may do their work in between. */
async function inPieces(
  { coding, bytes, bytesMax }: BodyInPieces,
  reservation: Reservation | null,
): Promise<Uint8Array | BodyFailure> {
  const zstd = coding === "zstd" ? await ZstdStream.open() : null;
  try {
    const pieces: Uint8Array[] = [];
    let length = 0;
    let sincePause = 0;
    const plainPieces = zstd?.push(bytes) ?? (coding === "lz4" ? unlz4(bytes) : unsnap(bytes, bytesMax));
    for (const plain of plainPieces) {
      length += plain.length;
      if (length > bytesMax) return { kind: "too_large" };
      if (plain.length > 0) pieces.push(plain);
      if (reservation === null) continue;
      const failure = reservation.take(plain.length);
      if (failure !== null) return failure;
      sincePause += plain.length + pieceCost;
      if (sincePause < bytesBetweenPauses) continue;
      sincePause = 0;
      await setImmediate();
    }
    zstd?.end();
    if (typeof zstd?.damage === "string") return corrupt(`the zstd stream ${zstd.damage}`);
    return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces, length);
  } catch (error) {
    if (error instanceof RangeError) return { kind: "too_large" };
    if (error instanceof DamageError) return corrupt(`the ${coding} data ${error.message}`);
    throw error;
  } finally {
    zstd?.close();
  }
}

/** About a millisecond of work on zstd, ten on snappy; a piece costs as much as so many bytes, however few it has. */
const bytesBetweenPauses = 1024 * 1024;
const pieceCost = 256;

let lastTurn: Promise<unknown> = Promise.resolve();

/** Begins when everything handed over before is done. */
function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  const turn = lastTurn.then(work, work);
  lastTurn = turn;
  return turn;
}
