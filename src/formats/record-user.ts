import type { Signal } from "../engine/ports.ts";

/** Where a record starts: line from 1, bytes from 0, both of the unpacked content. */
export interface RecordPlace {
  /** null in binary formats */
  readonly line: number | null;
  readonly offset: number;
}

/** What a file's records are handed to. The bytes are only valid during the call. */
export interface RecordUser {
  /** Takes a record in; otherwise the answer says what is wrong with it, and nothing of it was used. */
  use(signal: Signal, bytes: Uint8Array): string | null;
  /** Something that is no record, or not a whole one. */
  skip(place: RecordPlace, why: string): void;
}
