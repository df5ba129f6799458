import { recordBytesMax } from "../model/limits.ts";
import { readField, requestShape } from "../otlp/request-shape.ts";
import type { RecordUser } from "./record-user.ts";

/**
 * Cuts a stream of OTLP protobuf into records, whatever its chunks. `delimited`: as the collector's file exporter writes
 * them, each behind its length in four bytes, big-endian. `raw`: the bytes of one request (or several, which is the same in
 * protobuf), cut into the elements of `resource_spans` and the like, each of them a valid request. `zipkin`: a list of Zipkin's
 * spans, cut into lists of one. A record that cannot be
 * decoded is skipped; where a length makes no sense the rest of the stream is lost, for nothing says where the next one is.
 */
export class ProtobufRecords {
  readonly #user: RecordUser;
  readonly #framing: "delimited" | "raw" | "zipkin";
  #buffer = new Uint8Array(1 << 16);
  #start = 0;
  #end = 0;
  /** offset in the stream of the buffer's first byte */
  #base = 0;
  #isLost = false;

  constructor(framing: "delimited" | "raw" | "zipkin", user: RecordUser) {
    this.#framing = framing;
    this.#user = user;
  }

  push(chunk: Uint8Array): void {
    if (this.#isLost) return;
    this.#append(chunk);
    while (this.#start < this.#end && !this.#isLost && this.#next());
  }

  end(): void {
    if (this.#start < this.#end && !this.#isLost) this.#skip("ends in the middle of a record");
  }

  /** Takes the next record; false when more bytes are needed. */
  #next(): boolean {
    const payload = this.#framing === "delimited" ? this.#delimited() : this.#field();
    if (payload === null) return false;
    const { start, length, size } = payload;
    if (size > recordBytesMax) this.#lose(`claims to be ${size} bytes long`);
    if (this.#isLost || this.#start + size > this.#end) return false;
    const record = this.#buffer.subarray(start, start + length);
    if (length > 0) this.#useRecord(record);
    this.#start += size;
    return true;
  }

  #useRecord(record: Uint8Array): void {
    const shape = this.#framing === "zipkin" ? "traces" : requestShape(record);
    // An element without spans, points or logs is the same in all signals: nothing.
    const signal = shape === "empty" ? "traces" : shape;
    const why = signal === null ? "is no OTLP trace, metric or log request" : this.#user.use(signal, record);
    if (why !== null) this.#skip(why);
  }

  #delimited(): Payload | null {
    const at = this.#start;
    if (this.#end - at < 4) return null;
    const view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset + at, 4);
    const length = view.getUint32(0);
    return { start: at + 4, length, size: 4 + length };
  }

  /** A top-level field with its tag; fields that are no list of resources have the length 0. */
  #field(): Payload | null {
    const at = this.#start;
    if (this.#buffer[at] === 0) return { start: at, length: 0, size: 1 };
    const field = readField(this.#buffer, at, this.#end);
    if (field === "short") return null;
    if (field === "invalid") {
      this.#lose("is no protobuf from here on");
      return null;
    }
    const size = field.end - at;
    return { start: at, length: field.number === 1 && field.wireType === 2 ? size : 0, size };
  }

  #skip(why: string): void {
    this.#user.skip({ line: null, offset: this.#base + this.#start }, why);
  }

  #lose(why: string): void {
    this.#skip(`${why}; what follows is skipped`);
    this.#isLost = true;
    this.#buffer = new Uint8Array(0);
  }

  #append(chunk: Uint8Array): void {
    const kept = this.#end - this.#start;
    if (this.#end + chunk.length > this.#buffer.length) {
      const needed = kept + chunk.length;
      const buffer = needed > this.#buffer.length ? new Uint8Array(needed * 2) : this.#buffer;
      buffer.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = buffer;
      this.#base += this.#start;
      this.#start = 0;
      this.#end = kept;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }
}

/** Where a record's bytes are in the buffer, and how many bytes it takes up with what frames it. */
interface Payload {
  readonly start: number;
  readonly length: number;
  readonly size: number;
}
