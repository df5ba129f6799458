// Every capacity in one place: what it bounds, why this number, and what happens to what does not fit.

/** Levels of nested attribute values; deeper parts become "…". Real ones have 2-3, bombs have 200,000. */
export const valueDepthMax = 64;

/** Spans of one trace that are analysed; the rest is counted and the report says so. Jaeger's tests stop at 10,008. */
export const traceSpansMax = 1_000_000;

/** Distinct services (and peers) in one window; more fall into `overflowName`, which is never a candidate. */
export const servicesMax = 10_000;

/** Distinct operations of one service; more fall into `overflowName`: unbounded span names must not fill memory. */
export const operationsPerServiceMax = 2_000;

/** Links to spans that have not been seen, waiting for them; the oldest go first and are counted. */
export const openLinksMax = 100_000;

/** Problems of one kind are counted without end, but only this many different sentences are kept. */
export const problemKindsMax = 1_000;

export const overflowName = "__other__";
