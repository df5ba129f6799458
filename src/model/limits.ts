// Every capacity in one place: what it bounds, why this number, and what happens to what does not fit.

/** Levels of nested attribute values; deeper parts become "…". Real ones have 2-3, bombs have 200,000. */
export const valueDepthMax = 64;

/** Spans of one trace that are analysed, unless configured; the rest is counted and the report says so. Jaeger's tests stop at 10,008. */
export const traceSpansMax = 1_000_000;

/** How many spans one sampled span stands for at most: a threshold beyond one in a million is hostile, and sums stay exact. */
export const sampleWeightMax = 2 ** 20;

/** Characters of a span's name that are looked at; longer ones are cut, and end with a hash of the whole. */
export const operationLengthMax = 1_024;

/** Characters of an error's message that are used: as much as Tempo keeps of a value. The stored span keeps the whole. */
export const errorTextMax = 2_048;

/** Sections of the critical path that a report lists: 2 MB of JSON. The shortest of more are left out, and the report says so. */
export const pathSectionsMax = 10_000;

/** Failures of one trace that are followed to where they began; a report could not show more. */
export const failureOriginsMax = 1_000;

/** Sections of critical paths that are looked at for them, so that timeouts within timeouts stay affordable; then no more are followed. */
export const searchedSectionsMax = 200_000;

/** Bytes of a service's name in UTF-8; a longer one is cut, and ends with a hash of the whole. */
export const serviceNameBytesMax = 255;

/**
 * Distinct services (and peers) in one window, unless configured; those with the fewest requests of more fall into
 * `overflowName`, which is never a candidate.
 */
export const servicesMax = 10_000;

/** Distinct edges of the service graph in one minute; more fall into one between `overflowName` and itself. */
export const edgesMax = 50_000;

/** Distinct operations of one service; more fall into `overflowName`: unbounded span names must not fill memory. */
export const operationsPerServiceMax = 2_000;

/** Distinct minutes that sums are kept for: a week. More (or hostile clocks) share one minute without a time. */
export const minutesMax = 10_080;

/** Distinct operations of all services together in one minute, about 65 MB; more fall into `overflowName` of their service. */
export const operationsPerMinuteMax = 100_000;

/** Where one operation shows more distinct steps, those that fewer of its visits show are left out: they are names with ids in them. */
export const manySteps = { from: 200, visitShareMin: 0.02 } as const;

/** Distinct messages of failed connections that are counted one by one, per service and minute: one is shown. */
export const unreachableMessagesMax = 16;

/** Series of OTLP metrics that say something about health; points of further ones are left out and counted. */
export const metricSeriesMax = 50_000;

/** A metric's value beyond this (an exabyte) is no measurement and is left out, so that sums and percentages stay numbers. */
export const metricValueMax = 1e18;

/** Points of one series with delta temporality that are told apart in one minute; exporters send 1 to 60. */
export const deltaPointsPerMinuteMax = 240;

/** Series of metrics whose course over a window is kept, about 1 kB each, and points of them in all, 100 bytes each when they are read. */
export const metricCoursesMax = 50_000;
export const metricCoursePointsMax = 2_000_000;

/** Characters of a log's body that are searched for the cause of a failure; what is behind them is not looked at. */
export const logBodyLengthMax = 65_536;

/** Bodies that are remembered with their template, and how long they may be: 4 MB. Forgotten together when there are more. */
export const logTextsMax = 4_096;
export const logTextLengthMax = 1_024;

/** Kinds of log lines that are told apart in a window; more are one kind. Programs have hundreds. */
export const logTemplatesMax = 20_000;

/** Log lines of a window that are kept, 32 to 64 bytes each; of more, those of half of the traces, of a quarter, … */
export const logLinesMax = 250_000;

/** Log lines of one trace; a trace with more (a job, or an id that everything shares) is left out as a whole and counted. */
export const logLinesPerTraceMax = 10_000;

/** Earliest starts of one population of requests that are told apart, so that late spans may take some of them back. */
export const earliestStartsMax = 8;

/** Links to spans that have not been seen, waiting for them; the oldest go first and are counted. */
export const openLinksMax = 100_000;

/** Spans that later traces may link to, 40 bytes each: the latest million, an hour at 300 spans/s; older ones are forgotten. */
export const linkTargetsMax = 1_048_576;

/** Problems of one kind are counted without end, but only this many different sentences are kept. */
export const problemKindsMax = 1_000;

/** Distinct values of one attribute at one service by which requests are told apart: with more, it tells single requests apart. */
export const splitValuesMax = 100;
/** Characters of such a value that are looked at. */
export const splitValueLengthMax = 200;
/** Distinct sets of such values in a window, 20 bytes each; of requests with further ones nothing is known. */
export const splitSetsMax = 200_000;

export const overflowName = "__other__";

/** Bytes of one record of a file (a line, an element of `resourceSpans`); a larger one is skipped and reported. */
export const recordBytesMax = 1 << 30;

/** Bytes of a JSON line that is decoded in one piece; longer ones are cut into their `resourceSpans` elements. */
export const recordLineBytesMax = 4 << 20;

/** Zeros in a row in a file; what follows more is not read. A crash leaves a block or two, a sparse file or a bomb gigabytes. */
export const zeroRunBytesMax = 64 << 20;

/** Containers within containers (gzip of gzip) that are unwrapped; a file that is packed deeper is refused. */
export const containerLevelsMax = 3;

/** Bytes of one message that a collector packed alone; those of the largest batches have 64 MiB. A larger one is left out. */
export const packedMessageBytesMax = 128 << 20;

/** A file reader hands over a table of spans at this many rows or bytes: large enough to share strings, small enough to let go. */
export const tableRowsMax = 32_768;
export const tableBytesMax = 32 << 20;

/**
 * Memory for spans of files, unless configured; above it they wait in temporary files by trace id. With 320 MiB the whole
 * process stays below 550 MB, however large the files are: beside the spans there are the program, what it has compiled, and buffers
 * that wait for the next collection.
 */
export const memoryBudgetBytes = 320 << 20;

/** Malformed records of one file that are reported with their place; the rest is counted. */
export const malformedRecordsShownMax = 20;

/** Parts that spans above the memory budget come back in: of 64 GB of spans, 512 MB at a time. */
export const spillPartsMax = 128;

/** How often a part above the memory budget is parted again; a part that stays above it is one huge trace. */
export const spillLevelsMax = 3;

/** Spans, points or log records of one replayed request: about 0.5 MB, far below the 4 MiB that some receivers take. */
export const replayItemsMax = 1_000;

/** Files that a replay in order of time holds open at once: about 1 MiB of buffer each; others are opened when one is at its end. */
export const replayFilesMax = 32;

/** Items of all open files that a replay in order of time looks ahead, about 50 MB: what stands further behind is sent late. */
export const replayMergeItemsMax = 32_000;

/** Replayed requests that wait for their answer at once. */
export const replayInFlightMax = 4;

/** How long a replay waits for a receiver that stays busy: as long as OpenTelemetry's collector does. */
export const replayPatienceMs = 300_000;

/** A pause in replayed telemetry is cut to this: nobody wants to wait for a quiet night, or for a clock set to 2554. */
export const replayPauseMsMax = 60_000;

/** Spans, points or log records of one record that `convert` writes: what senders put into a request. */
export const convertItemsMax = 1_000;

/** Distinct traces that `convert` counts, 64 MB; of more it says "at least". */
export const convertTracesMax = 2_000_000;

/** Places (trace and span) that a finding of the doctor names: those with the smallest ids, so that the order of traces does not show. */
export const findingPlacesMax = 5;

/** Patterns of names and attributes with ids in them that the doctor tells apart for one service; the first by text. */
export const nameTemplatesMax = 200;

/** Hosts of one service whose clocks the doctor compares; the first by name. */
export const clocksPerServiceMax = 100;

/** Root operations that the doctor compares to see whether only slow traces were kept; the first by name. */
export const rootOperationsMax = 2_000;

/** Traces that one request to the doctor of a server reads, and spans after which it reads no more. */
export const doctorTracesMax = 10_000;
export const doctorSpansMax = 500_000;

/** Requests of one side of a case that `evaluate` keeps for its simple rules, about 150 MB; of more, whole traces are left out and told. */
export const evaluatedVisitsMax = 1_000_000;
