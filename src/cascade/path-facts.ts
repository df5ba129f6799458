import { durationOf } from "../trace/trace.ts";
import type { Edge, EvidenceFact } from "./candidate.ts";
import type { EndpointVotes } from "./network-gap.ts";
import type { PathBlame } from "./path-blame.ts";

/** What speaks for a part of the critical path, and against it. `pathNanos` = how long the whole path is. */
export function pathFacts(part: PathBlame, pathNanos: number): readonly EvidenceFact[] {
  const { span, whole, nanos, usual, edge, votes, instead } = part;
  const spans = [span.index];
  const share = pathNanos > 0 ? nanos / pathNanos : 0;
  if (instead !== null)
    return [{ kind: "instead", operation: span.operation, share, selfNanos: nanos, ...instead, spans }];
  if (votes !== null && edge !== null)
    return [
      { kind: "call_gap", edge, share, gapNanos: nanos, usualNanos: usual?.nanos ?? null, spans },
      endFact(edge, votes),
    ];
  const facts: EvidenceFact[] = [
    { kind: "path_share", operation: span.operation, share, selfNanos: nanos, spans },
  ];
  if (usual !== null && durationOf(whole) > usual.nanos)
    facts.push({
      kind: "slower_than_usual",
      operation: whole.operation,
      durationNanos: durationOf(whole),
      usual,
      spans: [whole.index],
    });
  return facts;
}

/** What tells the two ends of a late connection apart, if anything does. */
function endFact(edge: Edge, votes: EndpointVotes): EvidenceFact {
  const isCaller = votes.blamed === edge.caller;
  const [end, otherEnd] = isCaller ? [votes.caller, votes.callee] : [votes.callee, votes.caller];
  const other = isCaller ? edge.callee : edge.caller;
  if (!votes.isClear) return { kind: "either_end", edge };
  return {
    kind: "late_end",
    service: votes.blamed,
    isCaller,
    lost: votes.lost,
    ...end,
    other,
    otherInOrder: otherEnd.inOrder,
  };
}
