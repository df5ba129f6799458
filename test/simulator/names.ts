import type { Sequence } from "./random.ts";

const domains = [
  "account", "address", "alert", "audit", "basket", "billing", "booking", "campaign", "carrier", "catalog", "claim", "contract",
  "coupon", "credit", "currency", "delivery", "device", "dispute", "document", "fleet", "fraud", "gift", "identity", "inventory",
  "invoice", "label", "ledger", "locale", "loyalty", "media", "member", "notice", "offer", "order", "parcel", "partner", "payment",
  "policy", "price", "profile", "quote", "rating", "refund", "region", "return", "review", "reward", "route", "schedule", "search",
  "seller", "session", "stock", "store", "supplier", "tariff", "tax", "ticket", "voucher", "warehouse",
] as const; // biome-ignore format: a list
const roles = ["api", "core", "store", "rules", "sync", "index", "worker", "hub"] as const;
const verbs = ["get", "list", "find", "create", "update", "check", "reserve", "compute"] as const;
const tables = ["items", "entries", "events", "states", "history", "links"] as const;
const languages = ["java", "go", "nodejs", "python", "dotnet"] as const;

/** As many different names as asked for. */
export function serviceNames(count: number, random: Sequence): string[] {
  const all = random.shuffled(domains.flatMap((domain) => roles.map((role) => ({ domain, role }))));
  const seen = new Set<string>();
  // a domain of its own for each, as long as there are some
  const first = all.filter(({ domain }) => !seen.has(domain) && seen.add(domain));
  const rest = all.filter((pair) => !first.includes(pair));
  const names = [...first, ...rest].map(({ domain, role }) => `${domain}-${role}`);
  return Array.from({ length: count }, (_, i) => names[i] ?? `${names[i % names.length]}-${i}`);
}

export function languageOf(random: Sequence): string {
  return random.pick(languages);
}

/** The name of an operation of a service, different for each ordinal. */
export function operationName(
  service: { readonly name: string; readonly protocol: "http" | "grpc" },
  ordinal: number,
  random: Sequence,
): string {
  const [domain = ""] = service.name.split("-");
  const verb = verbs[(random.whole(0, 7) + ordinal) % verbs.length] as string;
  if (service.protocol === "grpc") {
    const method = `${verb[0]?.toUpperCase()}${verb.slice(1)}${ordinal === 0 ? "" : String(ordinal)}`;
    return `${domain}.v1.${domain[0]?.toUpperCase()}${domain.slice(1)}/${method}`;
  }
  const isRead = verb === "get" || verb === "list" || verb === "find" || verb === "check";
  const path = ["", "/{id}", "/search", "/{id}/status", "/batch", "/{id}/history"][ordinal] ?? `/v${ordinal}`;
  return `${isRead ? "GET" : "POST"} /${domain}s${path}`;
}

export function tableName(random: Sequence): string {
  return random.pick(tables);
}

/** As Kubernetes names pods: of a deployment's revision, then of the pod. */
export function podName(service: string, version: string, ordinal: number): string {
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  let hash = 0x811c9dc5;
  for (const character of `${service}/${version}`)
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  const word = (from: number, length: number): string => {
    let rest = from >>> 0;
    let text = "";
    for (let i = 0; i < length; i += 1) {
      text += letters[rest % letters.length];
      rest = Math.floor(rest / letters.length);
    }
    return text;
  };
  return `${service}-${word(hash, 6)}-${word(Math.imul(hash ^ (ordinal + 1), 0x9e3779b1), 5)}`;
}
