import * as fc from "fast-check";

/**
 * Any character but half a surrogate pair. The unit "binary" of fast-check is the same, and lists all of them first, which
 * takes each test process a second.
 */
const anyCharacter = fc
  .oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  .map((code) => String.fromCodePoint(code));

/** Texts of any characters. */
export function anyText(lengthMax = 10): fc.Arbitrary<string> {
  return fc.string({ unit: anyCharacter, maxLength: lengthMax });
}
