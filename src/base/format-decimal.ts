/**
 * A number with a fixed count of decimals, rounded from the exact value of the double, exact ties to even: 2.625 is
 * "2.62" and 0.125 "0.12", where `toFixed` says "2.63" and "0.13". Not-finite numbers as JavaScript names them.
 */
export function formatDecimal(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return String(value);
  const { mantissa, exponent } = partsOf(Math.abs(value));
  const digits = roundedShift(mantissa * 10n ** BigInt(decimals), exponent)
    .toString()
    .padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  const text = decimals === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
  return value < 0 ? `-${text}` : text;
}

/** A double that is not negative is exactly mantissa * 2^exponent. */
function partsOf(value: number): { readonly mantissa: bigint; readonly exponent: number } {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0] as bigint;
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  return biased === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | (1n << 52n), exponent: biased - 1075 };
}

/** integer * 2^exponent, rounded to an integer, ties to even. */
function roundedShift(integer: bigint, exponent: number): bigint {
  if (exponent >= 0) return integer << BigInt(exponent);
  const shift = BigInt(-exponent);
  const floor = integer >> shift;
  const rest = integer - (floor << shift);
  const half = 1n << (shift - 1n);
  const isUp = rest > half || (rest === half && (floor & 1n) === 1n);
  return isUp ? floor + 1n : floor;
}
