import { accessRoles, type CredentialCheck } from "../src/engine/access.ts";
import { createCredentialCheck } from "../src/http/access-credentials.ts";

interface Secrets {
  readonly tokens?: readonly string[];
  readonly basic?: readonly string[];
  readonly header?: string | null;
}

/** A check for secrets of which each opens everything; null where there are none. */
export function checkOf({ tokens = [], basic = [], header = null }: Secrets): CredentialCheck | null {
  const all = tokens.map((token) => ({ token, roles: accessRoles }));
  return createCredentialCheck({ tokens: all, file: null, basic, header });
}
