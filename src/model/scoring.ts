// Every constant that decides an answer, with its reason. Those of one trace were not fitted to a data set; those that compare
// windows were set while recorded incidents of three systems were looked at (docs/decisions.md).

/** Between different clocks, a child may end this share of its parent's duration after it and still be waited for. */
export const clockToleranceShare = 0.01;
/**
 * On one clock, a child may end this much after its parent, at most the share above, or start after its end, and still be waited
 * for: some SDKs read the start from a clock of milliseconds and the duration from a finer one.
 */
export const clockTickNanos = 1e6;
/** How much of its duration a span may end behind its caller: many servers end theirs when all of the answer has left. */
export const lateEndShare = 0.1;
/**
 * Differences of clocks that are told: below the first they are corrected without a word, because rounding of timestamps makes
 * such ones; clocks that NTP keeps in step differ by less than the second.
 */
export const toldSkewNanos = { analysis: 1e6, doctor: 5e6 } as const;
/** As long may nothing happen in a trace: what comes later and hangs on nothing before is another request with the same id. */
export const episodeGapNanos = 3600e9;

/** A callee that was given up on is no slower than usual up to this multiple of its median: then the deadline was too tight. */
export const noSlowerFactorMax = 1.5;
/** A caller's wait is lost on the way when the callee ran for less than this share of it. */
export const serverShareMin = 0.5;

/** How much a failure counts that somebody above hid, against one that reached the user: it never outranks a visible one. */
export const visibilityWeight = { visible: 1, masked: 0.12, retried: 0.06 } as const;

/**
 * How much the failures together count of work that a request only set off (a message, a task): its user got an answer, yet
 * what was asked for did not happen. So they outrank failures that were hidden, and no visible one.
 */
export const linkedFailureWeight = 0.5;

/**
 * How much it counts that a request left out, without failing, what nearly all others do: like work that failed behind an
 * answer, for that is what it comes to.
 */
export const missingStepWeight = 0.5;

/** What fewer than half of the healthy requests do, one that does it after a hidden failure most likely does because of it. */
export const seldomShareMax = 0.5;

/**
 * A callee that a request did not call is behind an open breaker if at least this share of its requests fails: breakers open
 * when half of the calls fail (the default of the common libraries), and some of the scope lies before that.
 */
export const breakerErrorRatioMin = 0.2;
/** What failures say that a breaker made. */
export const breakerWord =
  /circuit[ _-]?(?:breaker)?[^.]{0,60}\bopen|CallNotPermitted|Broken ?Circuit|Circuit ?Breaker ?Open|CircuitOpen|upstream_overflow|short-circuited/i;
/** How much of such a failure the callee answers for; the rest stays with the one that failed. */
export const breakerPart = 0.7;

/** More spans are no single request, and what they do together is no habit. */
export const judgedSpansMax = 10_000;

/** The smallest population from which a usual duration or error ratio is read: below it a median says little. */
export const usualRequestsMin = 20;

/** Of a healthy time, whose requests all are as they should be, fewer tell as much. */
export const baselineRequestsMin = 8;

/**
 * Where the healthy time knows the entry operations of less than this part of a window's requests, most of what happened has
 * nothing to be compared with, and the report says so.
 */
export const knownRequestsShareMin = 0.5;

/**
 * Where half of a population takes more than this multiple of what its fastest quarter takes, it is no single regime and its
 * median not usual: half of it may be slow. (With a log-normal spread the factor is reached at a sigma of 1, wider than
 * most operations.)
 */
export const usualFactorMax = 2;

/** A request is slow from this multiple of its usual duration on; smaller changes are within the spread of most services. */
export const slowFactorMin = 1.5;

/** Of a request that is not slow, shares of the critical path below this are not listed: fixing them would not be noticed. */
export const pathShareMin = 0.05;

/**
 * Time on the critical path that is no more than usual counts this much against time that is: it decides only where hardly
 * anything is unusual.
 */
export const plainTimeWeight = 0.02;

/**
 * A connection is late like another one if its calls lost at least this share of the other's time: a fault of one end costs
 * every call about the same, while a new connection may need a few round trips where an open one needs one.
 */
export const comparableGapMin = 0.25;

/**
 * An answer was late if more than this share of what a call lost passed after its callee was done. Whoever sends late makes
 * handshakes late too, which show before the callee begins; so a small share is enough. Of requests that are sent late,
 * nothing is lost after.
 */
export const lateAnswerShareMin = 0.1;
/** What the side on which time was lost counts, in connections: less than one, because a busy receiver looks like a late sender. */
export const lostSideWeight = 0.5;
/** By this part of the lost time clocks may be wrong, or not known better, and still tell where the time was lost. */
export const clockSlackShare = 0.1;

/** A caller does not get through if this much fails to connect: fewer are chance, or a callee that just restarted. */
export const unreachedMin = { share: 0.1, calls: 3 } as const;
/** Others fare like it from half of its share of failed connections on, and better up to a fifth of it. */
export const likeUnreached = 0.5;
export const unlikeUnreached = 0.2;

/** How much of the blame a failure that users saw takes from slowness in the same trace: failing is worse than being late. */
export const failureCover = 0.7;
/**
 * Of a slow request, who caused at least this part of its excess is a cause. Of recorded traces with two causes the lesser
 * one has about a fifth; below a tenth are pauses that every request has somewhere.
 */
export const excessShareMin = 0.15;

/** One trace alone proves less than a window: confidence ends here unless the scope shows the same service failing. */
export const oneTraceConfidenceMax = 0.6;
export const agreeingScopeConfidenceMax = 0.9;
/** Slow against a healthy time: the excess of each service is measured, not guessed. */
export const baselineConfidenceMax = 0.8;
/** Nothing failed and nothing took longer than usual: only where to look for time. */
export const nothingUnusualConfidenceMax = 0.1;
/** Time on the critical path without anything to compare it with is a description, not a finding. */
export const unreferencedConfidenceMax = 0.3;

/** An error ratio above this in the scope supports a candidate (the structural engine's limit). */
export const errorRatioMax = 0.05;

/** By this part of its score the second candidate weakens the confidence in the first. */
export const rivalWeight = 0.5;
/** However many parents a trace lacks, its confidence loses no more than this part: what is left still tells something. */
export const missingSpansCostMax = 0.5;

/** From these confidences on a verdict says "root cause" and "probable"; below, the evidence is called insufficient. */
export const traceBars = { confident: 0.7, probable: 0.35 } as const;

/** How many candidates and facts a report lists. */
export const candidateCountMax = 10;
export const factCountMax = 8;

/** Operations at which requests come in, and operations of one blamed service, that are told apart in a window. */
export const blameEntriesMax = 2_000;
/** How many traces a report names as examples of a candidate, and in all. */
export const exemplarCountMax = 3;
export const exemplarsInAllMax = 10;

/** Excess over what was to be expected is significant from this likelihood ratio on (Poisson; about 3 sigma). */
export const excessTestMin = 9;
/** Of more services than this, one is always extreme: then the bar is `2 ln(services)` and this much. */
export const manyServicesMin = 100;
export const manyServicesTestBase = 6;
/** Added to the expected number, so that the first failure ever is not infinitely surprising. */
export const expectedCountFloor = 0.3;
/** The share of failing requests that is taken as usual where no healthy time is given to compare with. */
export const unreferencedErrorRatio = 0.01;
/** The difference of mean latencies, in standard errors, from which on it is significant. */
export const latencyTestMin = 4;
/** Added latency below this share of the mean before is not reported: users do not notice it. */
export const addedLatencyShareMin = 0.1;
/** How strong slowness speaks: from the least visible excess up to "everybody notices". */
export const latencyStrength = { base: 0.1, fullAtShare: 0.3 } as const;
/** What failures count that somebody hid from users. */
export const hiddenStrength = 0.12;

/** Fewer values than this have no quartiles: such a series is not compared, nor cut in halves. */
export const valuesPerSeriesMin = 3;
export const valuesPerHalfMin = 5;
/** A series is slower from here on: p 2e-4 by ranks, more than a negligible effect (Romano 2006), a fifth of the median. */
export const latencyShift = { zMin: 3.5, deltaMin: 0.147, shareMin: 0.2, floorNanos: 1000 } as const;
/** Six calls against eight can never reach that: then p 0.01 is enough, if they are three times as slow and clearly apart. */
export const smallSample = { zMin: 2.3, factorMin: 3 } as const;
/**
 * Nobody stands and waits for a message, and its waiting swings with every wave of traffic, those of one wave together. So it
 * counts where half of the messages wait longer than this part of them did before.
 */
export const messageQuantile = 0.95;
/** Of fewer services, half may be the victims of one. */
export const commonServicesMin = 5;
/** Requests are of another mix if the share of an entry operation moved by a fifth, and by more than chance (p 5e-4). */
export const mixShift = { shareMin: 0.2, testMin: 12 } as const;
/**
 * Where the many are as fast as before, few may be far slower. These lie beyond twice what one in twenty exceeded: so far out
 * that a healthy time has hardly any, also under more load. Their share must rise by more than chance does so often.
 */
export const slowTail = { quantile: 0.95, factor: 2, chanceMax: 0.0005 } as const;
/** A change counts if it is more than twice what the time before changed by itself. */
export const driftFactor = 2;
/**
 * What changes among so many pieces of a healthy time by more than chance (p 0.01 by ranks or counts, asked of the second-lowest
 * and the second-highest piece, which in a steady time are hardly ever so far apart) changes by itself. Of fewer pieces one cannot
 * leave out the lowest and the highest, each of which may be an incident.
 */
export const pieceRule = { count: 6, countMin: 4, zMin: 2.5 } as const;
/** Where at least this share of what a call lost came after its callee was done, the callee answers late. */
export const legShareMin = 0.25;
/** By this part less time counts for the other end of a call. Little, because a starved receiver looks like a late sender. */
export const otherEndDiscount = 0.1;
/**
 * What calls lose at some instances of one end, and less than this part of it at the others, lies at that end: the other end
 * serves them all alike, and it counts no more than this for it.
 */
export const otherInstancesPart = 0.25;
/** No request is shorter: for clocks that stand still. */
export const latencyFloorNanos = 1000;

/** A change of a count is a symptom if chance alone makes it at most so often: evidence for an order, no alarm by itself. */
export const symptomChanceMax = 0.015;
/** A trouble that was there before rose in the system as a whole from here on: p 5e-4. */
export const backgroundTestMin = 12;
/** What so many visits of an operation show is part of it. */
export const almostAlways = 0.9;
/** What only some visits show depends on their input; its change counts a quarter of that of what all show. */
export const labelWeight = { invariant: 1, sometimes: 0.25 } as const;
/** Usual troubles that gather at one operation break ties, no more. */
export const concentrationWeight = 0.25;
export const concentrationMin = 1;
/** Symptoms beyond this are all as good as certain, and large counts shall not outweigh other signals. */
export const strengthMax = 60;
/** Visits of an operation that are needed before and in the window. */
export const labelCountsMin = { before: 3, after: 2 } as const;
/**
 * Where at least half of the visits that do less end with one call; one caller alone shares the blame with the callee: of n
 * things that are left undone, n : `callerWeight` is the callee's part to the caller's.
 */
export const stopAfterCall = { shareMin: 0.5, callerWeight: 2 } as const;
/** Names of steps that mean trouble, where status is not set. */
export const errorWord = /error|exception|fail|fault|abort|panic|reject/i;
/** Below this share of lines that find their visit, logs and spans are of different times, and lines are compared by trace. */
export const joinedLinesMin = 0.5;
/** The likelihood ratio that the largest of so many comparisons comes near by chance. */
export function chanceOf(comparisons: number): number {
  return 2 * Math.log(Math.max(1, comparisons));
}
/**
 * In what part of healthy windows chance alone may bring up a hint, and a finding. On 120 simulated ones, with more load, another
 * mix of requests or a new release, steps and lines that are left out came near to what a hint needs.
 */
export const falseAlarmsMax = { hint: 0.025, finding: 0.015 } as const;
/**
 * How far above that the strongest evidence of a window is when chance alone comes so far in this part of healthy windows: the
 * upper tail of chi-square times the number of comparisons, where that number cancels out but for a slow factor of about 0.3.
 */
export function marginOf(falseAlarms: number): number {
  return 2 * Math.log(0.3 / falseAlarms);
}
/** An error that was never seen before is believed sooner: healthy windows hardly ever have one, however few requests show it. */
export const newErrorMargin = 5;
/**
 * Where only some requests of a blamed service are in trouble. A request is slow beyond this quantile of the healthy time's
 * (one in twenty is anyhow, which is taken off). A value of an attribute marks those in trouble if there are so many requests
 * with it and with others, at most one in a hundred such findings is chance (Benjamini and Hochberg 1995), its requests are
 * twice as often in trouble, and four fifths of what is beyond the usual lie there. More distinct values than half of the
 * requests name single requests.
 */
export const contrastRule = {
  slowQuantile: 0.95,
  requestsMin: 8,
  falseShare: 0.01,
  riskRatioMin: 2,
  coverageMin: 0.8,
  distinctShareMax: 0.5,
} as const;
/** Above this part of what is beyond the usual, a finding says "only", below "mostly". */
export const onlyWhereMin = 0.9;
/** What is in trouble is said to fail (or to be slow) where the other makes up less than this part of it. */
export const sideTroubleMax = 0.1;
/** An instance is gone if its part of the requests fell below this part of what it was. */
export const goneShareMax = 0.25;

/**
 * What advice needs. Of calls, requests and waits so many must have been seen. Callers keep waiting if failed calls take longer
 * than this multiple of usual ones. Calls for each request that rose by this factor, at least half of them failed, are a storm
 * of retries; requests for each second that rose by it are a surge. A dependency is needed where most requests fail with it,
 * and can be done without where hardly any does. Other calls are in order while their median is below this multiple; of waits
 * that end alike (their quartiles lie within this part of the median), a deadline made the end, and it is too short where a
 * healthy callee may need longer (the high quantile of its times). Candidates get advice down to this part of the first one's
 * score.
 */
export const adviceRule = {
  requestsMin: 5,
  waitFactorMin: 2,
  amplificationMin: 1.5,
  retriedShareMin: 0.5,
  neededMin: 0.5,
  optionalMax: 0.1,
  aloneMax: 0.05,
  inOrderFactorMax: 1.2,
  deadlineSpreadMax: 0.1,
  highQuantile: 0.99,
  nearLimitMin: 0.7,
  scoreShareMin: 0.5,
} as const;
/** How much advice a report gives at most: more is not read. */
export const adviceCountMax = 5;

/**
 * How signals are put together: at `half` a signal is half convinced, and alone it always leaves `doubt`, the chance that it
 * misleads. Latency: 5 % of a request; most often victims are slow too. Structure and logs: p 1e-4; victims show most steps,
 * while lines are mostly about who writes them. Metrics: a fifth of a limit. Errors: 2 % of requests fail; their origins are
 * followed request by request.
 */
export const fusion = {
  latency: { half: 0.05, doubt: 0.2 },
  structure: { half: 15, doubt: 0.3 },
  metrics: { half: 0.2, doubt: 0.05 },
  logs: { half: 15, doubt: 0.1 },
  errors: { half: 0.02, doubt: 0.05 },
} as const;
/**
 * How often the first candidate of a window is right, by its score: 285 answers on simulated incidents (60 services) and
 * recordings, with all signals and with traces alone, made smooth and a little more careful. Linear in between.
 */
export const rightByScore: readonly (readonly [score: number, right: number])[] = [
  [0, 0.35],
  [0.25, 0.6],
  [0.35, 0.85],
  [0.45, 0.95],
  [1, 0.97],
];
/** What that is to be for words of a window: these are scores of 0.3 and 0.4. */
export const windowBars = { confident: 0.9, probable: 0.7 } as const;
/** What adds less to a score is no evidence that something is wrong: of latency it stands for a 500th of a request. */
export const hintScoreMin = 0.03;
/**
 * A process that is this near its limit is in trouble by itself (the structural engine's limit of CPU). Below, a rise says who
 * is to blame for what requests show, and where they show nothing it is no incident: a new release may need more memory.
 */
export const nearLimitShare = 0.8;
/** More than this part of something is most of it. */
export const mostly = 0.5;
/** What may be chance gets no verdict, however high its score. */
export const hintConfidenceMax = 0.5;
/** Facts of one signal that a candidate shows. */
export const factsPerSignalMax = 3;

/**
 * Visits of a window that are kept, 4 MB with their calls (100,000 spans): ten times those of the windows that accuracy is measured
 * on. Of more, traces are thinned, see `fairShare`, and counted; what fails is counted in full.
 */
export const visitsMax = 50_000;
/** Visits that say what requests do as a rule, where files are read: shares of steps need no more, and more takes longer to read. */
export const stepVisitsMax = 200_000;
/**
 * Room for visits is shared among groups of requests, by a hash of where they came in: with so many groups one of twenty entry
 * operations rarely has to share that of a busy one. A share falls by eighths, which leaves less than an eighth of the room
 * unasked for, and not below a 64th of it: where there are more groups than that, each would have less than one trace.
 */
export const fairShare = { groups: 1_024, step: 7 / 8, min: 1 / 64 } as const;
/** Distinct names in them (of services, operations, instances); further ones are put together as `overflowName`. */
export const visitNamesMax = 200_000;
/** Distinct sets of steps, 100 bytes each; visits with further ones are known to have done something else, no more. */
export const shapesMax = 500_000;

/**
 * What of a log line its template is made of, in characters and words (lines of one kind differ behind that), and of the text
 * that names the cause of a failure.
 */
export const logTemplateRule = { length: 600, words: 14, causeLength: 200 } as const;

/** Soft limits can be passed, but what is called a share and is larger than this is none: it counts bytes or percent. */
export const plausibleShareMax = 2;
/** What a metric said longer ago holds no more: exporters send every 10 to 60 seconds. */
export const metricStaleNanos = 300e9;
/** A counter that began to count this long before the first data, or later, is taken to have begun with it. */
export const counterStartSlackNanos = 300e9;

/**
 * The metrics of a window against a healthy time, in robust standard deviations (1.4826 times the median deviation from the
 * median). A share of a limit needs two of them: neighbouring faults widen the spread, and the least rise guards already.
 */
export const metricTestMin = 2;
/** A rise by less than a tenth of a limit is no sign of a shortage. */
export const shareRiseMin = 0.1;
/** Spreads below these parts of the median, or of a limit, are taken for these: constant figures are not infinitely certain. */
export const metricScaleMin = { ofMedian: 0.05, ofLimit: 0.01 } as const;
/** A median of one point says nothing, and that of fewer than five (`enough`) may be that of a point from another minute. */
export const metricPointsMin = { baseline: 2, incident: 1, enough: 5 } as const;
/** Points are means of the time before them: half an interval after its end, they are still about the incident. */
export const metricDelayNanos = 30e9;
/** Below so many processes the median of all is the faulty one itself, or half of it: then that of the others is the common rise. */
export const commonRiseProcessesMin = 3;

/**
 * Figures without a limit change with every wave of traffic, at whoever is hit as at whoever is to blame. They need more
 * certainty, more points, and to double beyond what is common.
 */
export const amountTestMin = 4;
export const amountPointsMin = { baseline: 5, incident: 2 } as const;
export const amountDoublingsMin = 1;
/** Added to figures before they are compared, so that a queue of one is not endlessly more than an empty one; of CPU, in cores. */
export const amountFloor = { any: 1, cores: 0.1 } as const;
/**
 * And they are worth less than what nears its limit: in shares of one, when they are 16 times as high or more. What is known
 * to mean waiting is worth what a rise by a seventh is. Of any other figure nobody knows whether more of it is bad, and of hundreds some always
 * rise: they only tell equal services apart.
 */
export const amountStrength = { doublingsForFull: 4, pressure: 0.15, other: 0.02 } as const;

/**
 * Times are part of what a fault changed from where two distributions are furthest apart, if that is no chance (Kolmogorov and
 * Smirnov, p 0.025), else from half as much again as was ever seen before.
 */
export const slowedUnit = { apartMin: 1.36, outlierFactor: 1.5 } as const;
/** What waits less than this for a cause, and less than this share of what it took without, is not said to be slower. */
export const slowedMin = { share: 0.15, nanos: 1e6 } as const;
/**
 * Trouble began in the first minute with so much more of it than usual that chance would show it in one of twenty minutes
 * (likelihood ratio of p 0.05). Where there never was any, with the first of it.
 */
export const onsetTestMin = 4;
/**
 * Who is hit by a cause, and on which ways: at least so many requests, and so large a share of all that it hit, beyond what is
 * usual. Who caused it is known, and failures are followed one by one: a likelihood ratio of p 0.05 is enough. Times vary by chance.
 */
export const hitMin = { requests: 2, share: 0.02, failuresTest: 4, othersTest: 5 } as const;
/** A further candidate is a cause of its own from this part of the first one's score on, if the first does not explain it. */
export const independentCauseShare = 0.7;
/** From this probability on of failing with a callee, a caller needs it. It is 2/3 where nothing is known (Laplace). */
export const requiredCallMin = 0.5;
/** Candidates of which it is told what was better without them. */
export const whatIfCountMax = 3;

/** When a service is unhealthy or noticeable: given by the structural report, whose numbers are fixed. */
export const defaultHealthLimits = {
  errorRateMax: 0.05,
  responseTimeP99SecondsMax: 1,
  cpuUsageMax: 0.8,
} as const;
/**
 * The impact score of the structural report, how many of its candidates get recommendations of their own, and the blast radius
 * up to which it gives no general ones. All given, none is tuned.
 */
export const structuralRule = {
  calleeWeight: 0.3,
  nearnessWeight: 0.7,
  recommendedCount: 3,
  containedBlastRadiusMax: 2,
} as const;

/**
 * When an operation fares worse than before. A likelihood ratio of 18 has p 2e-5: with one look a minute, so many false alarms
 * a week for each operation as for all together, since the bar rises with their number. Fewer requests say nothing; so many more
 * failures, and so much larger a share, are worth waking somebody. A request is slow if it takes longer than all but
 * `usualSlowShare` did in every piece of the time before; so many have to be, and the slowest of them so much slower.
 */
export const anomalyRule = {
  testMin: 18,
  recentRequestsMin: 5,
  usualRequestsMin: 30,
  excessFailuresMin: 3,
  failureShareRiseMin: 0.02,
  usualSlowShare: 0.05,
  slowShareMin: 0.2,
  slowdownMin: 1.25,
} as const;

/**
 * What a report shows of a failing path: the ways of so many origins; of a long path its ends, which say what the user saw and
 * what failed; of what stands beside a span, the operations with most of the time.
 */
export const shownPath = { origins: 5, atTop: 200, atEnd: 800, groups: 3 } as const;
/** Names that are alike make a flood of services when there are this many of them; so many floods are named. */
export const serviceFlood = { namesMin: 100, shownMax: 3 } as const;
/** So many traces that all failed are no chance: a sampler may have kept only these. */
export const biasedTracesMin = 50;

/**
 * What is wrong with instrumentation. A clock that is wrong is so in many traces; a few spans that do not fit are odd calls. Bare
 * numbers in names are ids when there are this many of them; attribute names number the parts of a list too. So many different
 * names of spans, and so large a share of all, are more than there are kinds of work. A longer trace is hard to read and to keep.
 */
export const doctorRule = {
  skewedShareMin: 0.2,
  numberedNamesMin: 5,
  numberedAttributesMin: 20,
  manyNamesMin: 200,
  manyNamesShareMin: 0.1,
  hugeTraceSpans: 10_000,
} as const;
/** So many traces, nearly all of them failed, are more than bad luck. */
export const onlyFailedRule = { tracesMin: 20, shareMin: 0.95 } as const;
/** Operations that differ in everything else do not begin at the same duration, unless somebody drew a line there. */
export const onlySlowRule = { operationsMin: 3, tracesMin: 10, nanosMin: 20e6, spreadMax: 1.1 } as const;
/** What a finding takes from the score of a service where it affects all of it: two critical ones leave a quarter. */
export const findingPenalty = { critical: 0.5, warning: 0.2, info: 0.03 } as const;
