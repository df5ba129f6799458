/** States what our own code guarantees; a failure is a bug in hypocenter, never a judgement on input. */
export function assert(condition: boolean, guarantee: string): asserts condition {
  if (!condition) throw new AssertionError(guarantee);
}

class AssertionError extends Error {
  override readonly name = "AssertionError";
}
