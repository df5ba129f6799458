import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { CredentialCheck } from "../engine/access.ts";
import { OperationError } from "../engine/errors/operation-error.ts";

export interface Credentials {
  /** each opens everything, as `Authorization: Bearer TOKEN` */
  readonly tokens: readonly string[];
  /** `USER:PASSWORD`, as `Authorization: Basic …` */
  readonly basic: readonly string[];
  /** a further header in which a token may come as it is */
  readonly header: string | null;
}

/** A check for these credentials; null where there are none, so that nobody is asked. Rejects those that no client could send. */
export function createCredentialCheck({ tokens, basic, header }: Credentials): CredentialCheck | null {
  for (const token of tokens) checkToken(token);
  for (const pair of basic) checkPair(pair);
  const tokenHeader = header === null ? null : headerName(header, tokens);
  const knownTokens = new SecretSet(tokens);
  const knownPairs = new SecretSet(basic);
  if (tokens.length + basic.length === 0) return null;
  // What everybody shows tells nobody apart.
  const nameOf = (kind: string, place: number): string | null =>
    place < 0 ? null : tokens.length + basic.length === 1 ? "" : `${kind} ${place + 1}`;
  const tokenOf = (token: string): string | null => nameOf("token", knownTokens.placeOf(token));
  const ownerOf = (authorization: string): string | null => {
    const [, scheme = "", credentials = ""] = /^(\S+) +(.*)$/.exec(authorization.trim()) ?? [];
    if (scheme.toLowerCase() === "bearer") return tokenOf(credentials);
    if (scheme.toLowerCase() !== "basic") return null;
    return nameOf("user", knownPairs.placeOf(Buffer.from(credentials, "base64").toString()));
  };
  return {
    clientOf: (headerOf) => {
      const authorization = headerOf("authorization");
      const owner = authorization === undefined ? null : ownerOf(authorization);
      const token = tokenHeader === null ? undefined : headerOf(tokenHeader);
      return owner ?? (token === undefined ? null : tokenOf(token.trim()));
    },
    hint: `Send ${expected(tokens, basic, tokenHeader).join(" or ")}.`,
    tokenHeader,
    challenges: [
      ...(tokens.length > 0 ? ['Bearer realm="hypocenter"'] : []),
      ...(basic.length > 0 ? ['Basic realm="hypocenter", charset="UTF-8"'] : []),
    ],
  };
}

/** Looks secrets up in a time that tells nothing about them: digests under a key of this process, each compared as a whole. */
class SecretSet {
  readonly #key = randomBytes(32);
  readonly #digests: readonly Buffer[];

  constructor(secrets: readonly string[]) {
    this.#digests = secrets.map((secret) => this.#digest(secret));
  }

  /** -1 = it is none of them */
  placeOf(secret: string): number {
    const digest = this.#digest(secret);
    // no early end: neither does the place in the list show
    return this.#digests.reduce((found, known, at) => (timingSafeEqual(known, digest) ? at : found), -1);
  }

  #digest(secret: string): Buffer {
    return createHmac("sha256", this.#key).update(secret).digest();
  }
}

function expected(
  tokens: readonly string[],
  basic: readonly string[],
  header: string | null,
): readonly string[] {
  return [
    ...(tokens.length > 0 ? ["the header Authorization: Bearer TOKEN"] : []),
    ...(basic.length > 0 ? ["a user name and password (Authorization: Basic)"] : []),
    ...(header !== null ? [`the header ${header}: TOKEN`] : []),
  ];
}

function checkToken(token: string): void {
  // the secret itself is not repeated in messages
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new OperationError(
      "bad_configuration",
      "A token in auth_tokens cannot be sent in a header",
      "Use printable ASCII without spaces, for example what `openssl rand -hex 32` prints.",
    );
}

function checkPair(pair: string): void {
  if (!/^[^:]+:./.test(pair))
    throw new OperationError("bad_configuration", "An entry of auth_basic is not USER:PASSWORD");
}

function headerName(header: string, tokens: readonly string[]): string {
  const name = header.toLowerCase();
  if (!/^[a-z0-9_-]+$/.test(name) || name.endsWith("-bin") || name.startsWith("grpc-"))
    throw new OperationError(
      "bad_configuration",
      `auth_header: "${header}" is no name for a header of HTTP and gRPC`,
      "Use letters, digits and dashes, such as x-api-key; not grpc-… and not …-bin.",
    );
  if (tokens.length === 0)
    throw new OperationError(
      "bad_configuration",
      "auth_header is set, but there are no tokens",
      "Name the tokens with auth_tokens.",
    );
  return name;
}
