import { readFile } from "node:fs/promises";
import { type AccessRole, accessRoles } from "../engine/access.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { checkedToken, type RoleToken, type WatchedTokens } from "./access-credentials.ts";
import { watchFiles } from "./watch-files.ts";

/** Tokens in a file that is looked at while they are in use. */
export interface TokenFile extends WatchedTokens {
  close(): void;
}

/** Every request is compared with all of them. */
const tokensMax = 1_000;

/**
 * Reads a file of tokens, and looks at it again every `reloadMs`: what is new counts from the next request on (see `watchFiles`).
 * Rejects with `bad_configuration`, which never repeats what a line holds.
 */
export async function watchTokenFile(
  path: string,
  { reloadMs, report }: { readonly reloadMs: number; readonly report: (message: string) => void },
): Promise<TokenFile> {
  const listeners: ((tokens: readonly RoleToken[]) => void)[] = [];
  const first = await readTokenFile(path);
  let tokens = tokensIn(first, path);
  const close = watchFiles({
    first,
    read: () => readTokenFile(path),
    isEqual: (a, b) => a === b,
    use: (text) => {
      tokens = tokensIn(text, path);
      for (const use of listeners) use(tokens);
    },
    everyMs: reloadMs,
    report,
    saysNew: "The tokens in auth_tokens_file were read anew.",
    saysKept: "the tokens read before stay in use.",
  });
  return { current: () => tokens, onChange: (use) => listeners.push(use), close };
}

async function readTokenFile(path: string): Promise<string> {
  return await readFile(path, "utf8").catch((cause: Error) => {
    throw new OperationError(
      "bad_configuration",
      `Cannot read auth_tokens_file ${path}: ${cause.message}`,
      "Check the path, and that the user who runs hypocenter may read the file.",
      cause,
    );
  });
}

/** One a line, behind what it is for; nothing, and what follows a # at the beginning of a line, is left out. */
function tokensIn(text: string, path: string): readonly RoleToken[] {
  const tokens: RoleToken[] = [];
  for (const [i, line] of text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .entries()) {
    const words = line.split(/\s+/).filter((word) => word !== "");
    if (words.length === 0 || line.trimStart().startsWith("#")) continue;
    tokens.push(tokenIn(words, `line ${i + 1} of auth_tokens_file ${path}`));
  }
  // Without any, nobody would be asked for one.
  if (tokens.length === 0 || tokens.length > tokensMax)
    throw new OperationError(
      "bad_configuration",
      `auth_tokens_file ${path} holds ${tokens.length === 0 ? "no token" : `more than ${tokensMax} tokens`}`,
      lineHint,
    );
  return tokens;
}

const lineHint =
  "Write one token a line: ROLE TOKEN with ingest, query or all for ROLE, or the token alone for all.";

const rolesByWord: ReadonlyMap<string, readonly AccessRole[]> = new Map<string, readonly AccessRole[]>([
  ...accessRoles.map((role): [string, readonly AccessRole[]] => [role, [role]]),
  ["all", accessRoles],
]);

function tokenIn(words: readonly string[], place: string): RoleToken {
  const [first = "", second] = words;
  const roles = rolesByWord.get(first);
  // A role alone is a line that was left unfinished, no token.
  if (words.length > 2 || (roles === undefined) !== (second === undefined))
    throw new OperationError("bad_configuration", `There is no ROLE TOKEN in ${place}`, lineHint);
  return { token: checkedToken(second ?? first, place), roles: roles ?? accessRoles };
}
