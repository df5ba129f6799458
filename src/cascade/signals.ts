import type { CauseKind, Edge, EvidenceFact } from "./candidate.ts";

/** The kinds of telemetry whose say about a window is heard apart, in the order in which they are put together. */
export const signalNames = ["latency", "structure", "metrics", "logs", "errors"] as const;
export type SignalName = (typeof signalNames)[number];

/** What one kind of telemetry says about one service (or peer). */
export interface SignalFinding {
  readonly service: string;
  /** > 0, in the unit of its signal */
  readonly strength: number;
  readonly kind: CauseKind;
  readonly operation: string | null;
  readonly instance: string | null;
  readonly edge: Edge | null;
  /** strongest first */
  readonly evidence: readonly EvidenceFact[];
}

/** By service; a service without evidence is not in it. */
export type SignalFindings = ReadonlyMap<string, SignalFinding>;

/** What one kind of telemetry says, and how sure it is that this is no chance. */
export interface SignalResult {
  readonly findings: SignalFindings;
  /**
   * by service, how far its strongest evidence (a likelihood ratio) is above `2 ln(n)`, which the largest of so many
   * comparisons as were made comes near by chance; `withoutTest` for what needs no test
   */
  readonly margins: ReadonlyMap<string, number>;
}

/** The margin of evidence of which more was asked than a test of numbers can say. */
export const withoutTest = Number.POSITIVE_INFINITY;

/** One line of a log as it can be compared with others, joined to the span that wrote it. */
export interface LogLine {
  readonly service: string;
  /** 16 hex digits, or "" */
  readonly spanId: string;
  /** what all lines of its kind have in common, see `log-template.ts` */
  readonly text: string;
  readonly isError: boolean;
}

/** The log lines of a window. */
export interface LogLines {
  /** by hex trace id, only lines that carry one; each in order of time */
  readonly byTrace: ReadonlyMap<string, readonly LogLine[]>;
  readonly lines: number;
}
