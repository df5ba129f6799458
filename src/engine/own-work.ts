import type { Decoded, Encoding, Signal } from "./ports.ts";

export type Transport = "http" | "grpc";

/** Whoever wants to know what the server itself does, piece by piece: its own spans are made of that. Must not throw. */
export interface WorkObserver {
  /** An export request has been read and answered. */
  received(work: ExportWork): void;
  /** The API has answered a request that is neither a health check nor one for metrics. */
  answered(work: AnswerWork): void;
  /** Some traces that had come to rest have joined graph and metrics. */
  folded(work: FoldWork): void;
}

/** Milliseconds of the monotonic clock. */
interface Took {
  readonly startMs: number;
  readonly endMs: number;
}

export interface ExportWork extends Took {
  readonly transport: Transport;
  readonly signal: Signal;
  readonly encoding: Encoding;
  readonly bodyBytes: number;
  /** null = it could not be read */
  readonly decoded: Decoded | null;
  readonly accepted: number;
  readonly rejected: number;
  readonly outcome: "accepted" | "malformed" | "refused";
}

export interface AnswerWork extends Took {
  readonly method: string;
  /** the path as the description of the API has it; null = there is nothing */
  readonly route: string | null;
  readonly status: number;
}

export interface FoldWork extends Took {
  readonly traces: number;
}
