// Every constant of scoring, with its reason. None was fitted to a data set.

/** How much a failure counts that somebody above hid, against one that reached the user: it never outranks a visible one. */
export const visibilityWeight = { visible: 1, masked: 0.12, retried: 0.06 } as const;

/** The smallest population from which a usual duration or error ratio is read: below it a median says little. */
export const usualRequestsMin = 20;

/** A request is slow from this multiple of its usual duration on; smaller changes are within the spread of most services. */
export const slowFactorMin = 1.5;

/** Shares of the critical path below this are not listed: fixing them would not be noticed. */
export const pathShareMin = 0.05;

/** One trace alone proves less than a window: confidence ends here unless the scope shows the same service failing. */
export const oneTraceConfidenceMax = 0.6;
export const agreeingScopeConfidenceMax = 0.9;
/** Time on the critical path without anything to compare it with is a description, not a finding. */
export const unreferencedConfidenceMax = 0.3;

/** An error ratio above this in the scope supports a candidate (the structural engine's limit). */
export const errorRatioMax = 0.05;

/** From these confidences on a verdict says "root cause" and "probable"; below, the evidence is called insufficient. */
export const confidentFrom = 0.7;
export const probableFrom = 0.35;

/** How many candidates and facts a report lists. */
export const candidateCountMax = 10;
export const factCountMax = 8;
