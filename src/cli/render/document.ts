import type { CandidateJson, Language } from "../../analysis/report.ts";
import type { GraphPicture } from "./graph-picture.ts";

// A report as it is laid out for people, before it becomes terminal text, Markdown or HTML. All texts are as they came
// from telemetry; each writer makes them safe for its own medium.

export interface ReportDocument {
  readonly language: Language;
  /** what it is about, by name; the verdict says what became of it */
  readonly title: string;
  readonly verdict: {
    readonly outcome: Outcome;
    readonly sentence: string;
    /** short facts on one line: trace id, time, counts */
    readonly facts: readonly string[];
  };
  readonly sections: readonly Section[];
}

/** A verdict as its sentences: what happened is read on one line, and why on the next. */
export function sentencesOf(verdict: string): readonly [string, ...string[]] {
  return verdict.split(/(?<=\.) (?=[\p{Lu}\p{Script=Hangul}])/u) as [string, ...string[]];
}

export type Outcome = "failed" | "notice" | "fine";

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export type Block =
  | { readonly kind: "candidates"; readonly items: readonly CandidateJson[] }
  | { readonly kind: "tree"; readonly rows: readonly TreeRow[]; readonly extentMs: number }
  | { readonly kind: "facts"; readonly rows: readonly (readonly [name: string, value: string])[] }
  | { readonly kind: "list"; readonly ordered: boolean; readonly items: readonly ListItem[] }
  | { readonly kind: "bars"; readonly rows: readonly BarRow[] }
  | { readonly kind: "table"; readonly columns: readonly Column[]; readonly rows: readonly TableRow[] }
  | { readonly kind: "graph"; readonly picture: GraphPicture };

export interface ListItem {
  readonly text: string;
  /** span ids, hex */
  readonly spans: readonly string[];
}

/** A part of a whole: `share` 0..1. */
export interface BarRow {
  readonly share: number;
  readonly amount: string;
  readonly name: string;
  readonly detail: string;
}

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

export interface TableRow {
  readonly outcome: Outcome | null;
  readonly cells: readonly string[];
  /** what is wrong, on a line of its own below the row; "" = nothing */
  readonly issues?: string;
  /** what else there is to know, likewise */
  readonly note?: string;
}

/** A row of the span tree. `rails[i]` = the ancestor at depth i + 1 has more siblings below. */
export type TreeRow =
  | {
      readonly kind: "span";
      readonly rails: readonly boolean[];
      readonly isLast: boolean;
      readonly outcome: Outcome | null;
      /** what makes this the row to look at ("began here"), else null */
      readonly origin: string | null;
      readonly service: string;
      readonly operation: string;
      readonly startMs: number;
      readonly durationMs: number;
      readonly error: string | null;
      readonly depth: number;
    }
  | {
      readonly kind: "folded";
      readonly rails: readonly boolean[];
      readonly isLast: boolean;
      readonly text: string;
      readonly depth: number;
    };
