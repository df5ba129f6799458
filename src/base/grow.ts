type NumericArray = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** A copy of `array` with room for at least `length` elements: capacity doubles, so appending is amortised O(1). */
export function grow<T extends NumericArray>(array: T, length: number): T {
  let capacity = Math.max(16, array.length);
  while (capacity < length) capacity *= 2;
  const larger = new (array.constructor as new (length: number) => T)(capacity);
  larger.set(array);
  return larger;
}
