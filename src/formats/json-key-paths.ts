const pathLevelsMax = 4;
const pathsMax = 1_000;
const keyLengthMax = 60;

/** A `"` and what stands up to the next, escapes included; a bracket; or a line break, which no string may have. */
const tokens = /"((?:[^"\\\n]|\\.)*)("\s*:?|$|(?=\n))|[{}[\]]/g;

/**
 * Which keys a text of JSON has, each as the path of keys that leads to it, with lists left out: `data.spans.spanID`. Made for
 * the beginning of a file, which may be cut anywhere: half of what would come is enough. Keys deeper than four levels are
 * left out.
 */
export function keyPathsOf(text: string): ReadonlySet<string> {
  const paths = new Set<string>();
  /** of each object or list that is open: its path */
  const open: string[] = [];
  let key = "";
  for (const [token, name = "", end] of text.matchAll(tokens)) {
    if (token === "{" || token === "[") {
      open.push(key === "" ? (open.at(-1) ?? "") : key);
      key = "";
    } else if (token === "}" || token === "]") {
      open.pop();
      key = "";
    } else if (end?.endsWith(":") === true) {
      const parent = open.at(-1) ?? "";
      key = parent === "" ? name.slice(0, keyLengthMax) : `${parent}.${name.slice(0, keyLengthMax)}`;
      if (open.length <= pathLevelsMax * 2 && paths.size < pathsMax && key.split(".").length <= pathLevelsMax)
        paths.add(key);
    } else key = "";
  }
  return paths;
}
