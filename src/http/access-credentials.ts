import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { type AccessRole, accessRoles, type Caller, type CredentialCheck } from "../engine/access.ts";
import { OperationError } from "../engine/errors/operation-error.ts";

/** A secret, and what whoever shows it may do. */
export interface RoleToken {
  readonly token: string;
  readonly roles: readonly AccessRole[];
}

/** Tokens that are read anew while they are in use. */
export interface WatchedTokens {
  current(): readonly RoleToken[];
  /** `use` is called with every later list */
  onChange(use: (tokens: readonly RoleToken[]) => void): void;
}

export interface Credentials {
  /** as `Authorization: Bearer TOKEN` */
  readonly tokens: readonly RoleToken[];
  /** further ones, which may change; null = none */
  readonly file: WatchedTokens | null;
  /** `USER:PASSWORD`, as `Authorization: Basic …`; each opens everything */
  readonly basic: readonly string[];
  /** a further header in which a token may come as it is */
  readonly header: string | null;
}

/** A check for these credentials; null where there are none, so that nobody is asked. Rejects those that no client could send. */
export function createCredentialCheck(credentials: Credentials): CredentialCheck | null {
  const { tokens, file, basic, header } = credentials;
  for (const pair of basic) checkPair(pair);
  const hasTokens = tokens.length > 0 || file !== null;
  const tokenHeader = header === null ? null : headerName(header, hasTokens);
  if (!hasTokens && basic.length === 0) return null;
  let known = knownSecrets(credentials, file?.current() ?? []);
  file?.onChange((inFile) => {
    known = knownSecrets(credentials, inFile);
  });
  const ownerOf = (authorization: string): Caller | null => {
    const [, scheme = "", shown = ""] = /^(\S+) +(.*)$/.exec(authorization.trim()) ?? [];
    if (scheme.toLowerCase() === "bearer") return known.tokens.callerOf(shown);
    if (scheme.toLowerCase() !== "basic") return null;
    return known.pairs.callerOf(Buffer.from(shown, "base64").toString());
  };
  return {
    callerOf: (headerOf) => {
      const authorization = headerOf("authorization");
      const owner = authorization === undefined ? null : ownerOf(authorization);
      const token = tokenHeader === null ? undefined : headerOf(tokenHeader);
      return owner ?? (token === undefined ? null : known.tokens.callerOf(token.trim()));
    },
    hint: `Send ${expected(hasTokens, basic, tokenHeader).join(" or ")}.`,
    tokenHeader,
    challenges: [
      ...(hasTokens ? ['Bearer realm="hypocenter"'] : []),
      ...(basic.length > 0 ? ['Basic realm="hypocenter", charset="UTF-8"'] : []),
    ],
  };
}

/** A token that a header can carry. Throws `bad_configuration`; `place` says where it stands, for the secret itself is not repeated. */
export function checkedToken(token: string, place: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new OperationError(
    "bad_configuration",
    `A token in ${place} cannot be sent in a header`,
    "Use printable ASCII without spaces, for example what `openssl rand -hex 32` prints.",
  );
}

function knownSecrets({ tokens, basic }: Credentials, inFile: readonly RoleToken[]) {
  const all = [...tokens, ...inFile];
  // What everybody shows tells nobody apart.
  const isOne = all.length + basic.length === 1;
  const nameOf = (kind: string, place: number): string => (isOne ? "" : `${kind} ${place + 1}`);
  return {
    tokens: new SecretSet(
      all.map(({ token, roles }, place) => ({ secret: token, roles, client: nameOf("token", place) })),
    ),
    pairs: new SecretSet(
      basic.map((secret, place) => ({ secret, roles: accessRoles, client: nameOf("user", place) })),
    ),
  };
}

/** Looks secrets up in a time that tells nothing about them: digests under a key of this process, each compared as a whole. */
class SecretSet {
  readonly #key = randomBytes(32);
  readonly #known: readonly (Caller & { readonly digest: Buffer })[];

  constructor(secrets: readonly (Caller & { readonly secret: string })[]) {
    this.#known = secrets.map(({ secret, client, roles }) => ({
      digest: this.#digest(secret),
      client,
      roles,
    }));
  }

  /** null = it is none of them; one that is there more than once may do all that any of them may */
  callerOf(secret: string): Caller | null {
    const shown = this.#digest(secret);
    let client: string | null = null;
    const roles = new Set<AccessRole>();
    // no early end: neither does the place in the list show
    for (const known of this.#known) {
      if (!timingSafeEqual(known.digest, shown)) continue;
      client = known.client;
      for (const role of known.roles) roles.add(role);
    }
    return client === null ? null : { client, roles: [...roles] };
  }

  #digest(secret: string): Buffer {
    return createHmac("sha256", this.#key).update(secret).digest();
  }
}

function expected(hasTokens: boolean, basic: readonly string[], header: string | null): readonly string[] {
  return [
    ...(hasTokens ? ["the header Authorization: Bearer TOKEN"] : []),
    ...(basic.length > 0 ? ["a user name and password (Authorization: Basic)"] : []),
    ...(header !== null ? [`the header ${header}: TOKEN`] : []),
  ];
}

function checkPair(pair: string): void {
  if (!/^[^:]+:./.test(pair))
    throw new OperationError("bad_configuration", "An entry of auth_basic is not USER:PASSWORD");
}

function headerName(header: string, hasTokens: boolean): string {
  const name = header.toLowerCase();
  if (!/^[a-z0-9_-]+$/.test(name) || name.endsWith("-bin") || name.startsWith("grpc-"))
    throw new OperationError(
      "bad_configuration",
      `auth_header: "${header}" is no name for a header of HTTP and gRPC`,
      "Use letters, digits and dashes, such as x-api-key; not grpc-… and not …-bin.",
    );
  if (!hasTokens)
    throw new OperationError(
      "bad_configuration",
      "auth_header is set, but there are no tokens",
      "Name the tokens with auth_tokens, auth_ingest_tokens, auth_query_tokens or auth_tokens_file.",
    );
  return name;
}
