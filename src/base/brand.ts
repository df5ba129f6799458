declare const brand: unique symbol;

/** A type that only its own parser can make: `Brand<string, "TraceId">` is a string that has been checked. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
