import type { SettingValues } from "../config/settings.ts";
import { type AccessRole, accessRoles, type CredentialCheck } from "../engine/access.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { type Cors, createCors } from "../http/access-cors.ts";
import { checkedToken, createCredentialCheck, type RoleToken } from "../http/access-credentials.ts";
import { type WatchedTlsIdentity, watchTlsFiles } from "../http/access-tls.ts";
import { type TokenFile, watchTokenFile } from "../http/access-token-file.ts";

/** Who may come in, how it is proved, and what is shown in return. */
export interface ServerAccess {
  /** null = all ports speak without TLS */
  readonly tls: WatchedTlsIdentity | null;
  /** null = nobody is asked for a token or password */
  readonly credentials: CredentialCheck | null;
  /** null = pages of other origins may not send */
  readonly cors: Cors | null;
  /** Files are looked at no more. */
  close(): void;
}

/** What the settings say of access; rejects with `bad_configuration` where they cannot be followed. `report` is told what changes later. */
export async function openAccess(
  settings: SettingValues,
  report: (message: string) => void,
): Promise<ServerAccess> {
  const { auth_header: header, auth_tokens_file: path, tls_reload_interval: reloadMs } = settings;
  const basic = settings.auth_basic ?? [];
  const tokens = tokensIn(settings);
  const file = path === null ? null : await watchTokenFile(path, { reloadMs, report });
  const credentials = createCredentialCheck({ tokens, file, basic, header });
  if (credentials !== null && basic.length === 0) warnOfLack(tokens, file, report);
  const cors = createCors(
    {
      allowedOrigins: settings.cors_allowed_origins ?? [],
      allowedHeaders: settings.cors_allowed_headers ?? [],
      maxAgeMs: settings.cors_max_age,
    },
    header,
  );
  const tls = await openTls(settings, report);
  const close = (): void => {
    file?.close();
    tls?.close();
  };
  return { tls, credentials, cors, close };
}

/** The tokens that settings name, by what they are for. */
function tokensIn(settings: SettingValues): readonly RoleToken[] {
  const lists = [
    ["auth_tokens", accessRoles],
    ["auth_ingest_tokens", ["ingest"]],
    ["auth_query_tokens", ["query"]],
  ] as const;
  return lists.flatMap(([key, roles]) =>
    (settings[key] ?? []).map((token) => ({ token: checkedToken(token, key), roles })),
  );
}

/** Where credentials are asked for, what none of them is for is closed to everybody: that may be meant, and may be forgotten. */
function warnOfLack(
  tokens: readonly RoleToken[],
  file: TokenFile | null,
  report: (message: string) => void,
): void {
  const all = [...tokens, ...(file?.current() ?? [])];
  const has = (role: AccessRole): boolean => all.some(({ roles }) => roles.includes(role));
  if (!has("ingest")) report("No token may send telemetry (see auth_ingest_tokens): all of it is refused.");
  if (!has("query"))
    report("No token may ask questions (see auth_query_tokens): the API answers health checks only.");
}

async function openTls(
  settings: SettingValues,
  report: (message: string) => void,
): Promise<WatchedTlsIdentity | null> {
  const {
    tls_cert_file: certFile,
    tls_key_file: keyFile,
    tls_client_ca_file: clientCaFile,
    tls_min_version: minVersion,
    tls_reload_interval: reloadMs,
  } = settings;
  if (certFile !== null && keyFile !== null)
    return await watchTlsFiles({ certFile, keyFile, clientCaFile, minVersion }, { reloadMs, report });
  if (certFile === null && keyFile === null && clientCaFile === null) return null;
  const missing = certFile === null ? "tls_cert_file" : "tls_key_file";
  throw new OperationError(
    "bad_configuration",
    `TLS needs ${missing} too`,
    "Give tls_cert_file and tls_key_file together, or neither.",
  );
}
