import type { Share } from "../base/count-test.ts";
import type { Edge } from "./candidate.ts";

/** What the evidence suggests to do about a candidate beside what its own facts say; free of language. */
export type Remedy = RemedyFigures & {
  /** the candidate that it is about */
  readonly about: string;
  /** of one trace, indices of the spans that show it */
  readonly spans: readonly number[];
  /** of a window, hex ids of a few traces that show it */
  readonly traceIds: readonly string[];
};

export type RemedyFigures =
  /** the caller waits for a callee that fails: for so many calls, for so long each (median) */
  | { readonly kind: "fail_fast"; readonly edge: Edge; readonly calls: number; readonly waitedNanos: number }
  /** a caller gives up before what it waits for can be done: `by` that one's own deadline, or what it takes in a healthy time (p99) */
  | {
      readonly kind: "deadline";
      readonly edge: Edge;
      readonly operation: string;
      readonly deadlineNanos: number;
      readonly neededNanos: number;
      readonly by: "deadline" | "usual";
    }
  /** calls for each request of a user rose, because failed ones are tried again */
  | {
      readonly kind: "retry_storm";
      readonly edge: Edge;
      readonly before: number;
      readonly after: number;
      readonly failed: Share;
    }
  /** requests fail with a callee that others can do without */
  | {
      readonly kind: "fallback";
      readonly edge: Edge;
      readonly failed: Share;
      readonly coping: { readonly service: string; readonly operation: string; readonly failed: Share };
    }
  /** requests for each second rose */
  | { readonly kind: "capacity"; readonly before: number; readonly after: number }
  /** one caller cannot reach what others can */
  | { readonly kind: "egress"; readonly edge: Edge; readonly failed: Share; readonly others: Share }
  /** calls to a database became slower while other calls of its callers, or for want of such their own work, did not; medians */
  | {
      readonly kind: "slow_database";
      readonly edge: Edge;
      /** the one that became slower; null = several */
      readonly operation: string | null;
      readonly others: "calls" | "own_work";
      readonly beforeNanos: number;
      readonly afterNanos: number;
      readonly othersBeforeNanos: number;
      readonly othersAfterNanos: number;
    };
