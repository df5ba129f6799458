// What makes a new text of every request, wherever it is looked for: names of spans, of services and of attributes, messages.

export const uuidPattern = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/gi;

/**
 * Sixteen digits and more, as trace and span ids have; of a word of letters only nobody can tell. Files are called so by
 * their content (`app.0f3c….js`): that is no id.
 */
export const hexIdPattern = /(?<![0-9a-z.])(?=[a-f]*\d)[0-9a-f]{16,}(?![0-9a-z])(?!\.[a-z]{2,5}\b)/gi;

export const emailPattern = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}/g;

/** A statement with its values cut out. */
export function withoutLiterals(sql: string): string {
  return sql.replace(/'(?:[^']|'')*'/g, "?").replace(/\b\d+(?:\.\d+)?\b/g, "?");
}
