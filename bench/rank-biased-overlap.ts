/**
 * How much two rankings agree, 0..1, the first places most: rank-biased overlap, extrapolated from what is listed (RBO_EXT, equation
 * 32 of Webber, Moffat, Zobel: A Similarity Measure for Indefinite Rankings, TOIS 28(4), 2010). `persistence` = how likely a reader
 * goes on to the next place; 0.9 gives the first ten places 86 % of the weight. Each list names everybody once. Two empty ones agree.
 */
export function rankBiasedOverlap(
  one: readonly string[],
  other: readonly string[],
  persistence = 0.9,
): number {
  const [short, long] = one.length <= other.length ? [one, other] : [other, one];
  if (long.length === 0) return 1;
  if (short.length === 0) return 0;
  const overlaps = overlapsOf(short, long);
  const atShort = overlaps[short.length - 1] as number;
  const atLong = overlaps.at(-1) as number;
  let sum = 0;
  for (let depth = 1; depth <= long.length; depth += 1) {
    const weight = persistence ** depth;
    sum += ((overlaps[depth - 1] as number) / depth) * weight;
    // what the short list might go on with agrees as far as what is listed does
    if (depth > short.length) sum += ((atShort * (depth - short.length)) / (short.length * depth)) * weight;
  }
  const beyond = (atLong - atShort) / long.length + atShort / short.length;
  return ((1 - persistence) / persistence) * sum + beyond * persistence ** long.length;
}

/** By depth - 1, how many names the beginnings of both lists have in common. */
function overlapsOf(short: readonly string[], long: readonly string[]): readonly number[] {
  const [seenShort, seenLong] = [new Set<string>(), new Set<string>()];
  let common = 0;
  return long.map((name, i) => {
    const other = short[i];
    seenLong.add(name);
    if (other !== undefined) seenShort.add(other);
    if (seenShort.has(name)) common += 1;
    if (other !== undefined && other !== name && seenLong.has(other)) common += 1;
    return common;
  });
}
