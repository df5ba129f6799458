import { numberOf, ValueType } from "../model/attributes.ts";
import { spanKeys } from "../model/semconv.ts";
import type { SpanTable } from "../model/span-table.ts";
import { type NameTemplate, TemplateCache } from "./doctor-names.ts";

/**
 * Attribute names that a stable convention of OpenTelemetry has replaced (HTTP and network 2023, databases 2025), and by
 * what. Names whose successors are still in development are left out: nobody has to move to these yet.
 */
const renamedAttributes: ReadonlyMap<string, readonly string[]> = new Map([
  ["http.method", ["http.request.method"]],
  ["http.status_code", ["http.response.status_code"]],
  ["http.url", ["url.full"]],
  ["http.target", ["url.path", "url.query"]],
  ["http.scheme", ["url.scheme"]],
  ["http.host", ["server.address"]],
  ["http.server_name", ["server.address"]],
  ["http.user_agent", ["user_agent.original"]],
  ["http.client_ip", ["client.address"]],
  ["http.flavor", ["network.protocol.version"]],
  ["http.request_content_length", ["http.request.body.size"]],
  ["http.response_content_length", ["http.response.body.size"]],
  ["net.peer.name", ["server.address", "client.address"]],
  ["net.peer.port", ["server.port", "client.port"]],
  ["net.peer.ip", ["network.peer.address"]],
  ["net.host.name", ["server.address"]],
  ["net.host.port", ["server.port"]],
  ["net.sock.peer.name", ["server.address"]],
  ["net.sock.peer.addr", ["network.peer.address"]],
  ["net.sock.peer.port", ["network.peer.port"]],
  ["net.transport", ["network.transport"]],
  ["db.system", ["db.system.name"]],
  ["db.name", ["db.namespace"]],
  ["db.statement", ["db.query.text"]],
  ["db.operation", ["db.operation.name"]],
  ["db.sql.table", ["db.collection.name"]],
  ["db.mongodb.collection", ["db.collection.name"]],
  ["db.cassandra.table", ["db.collection.name"]],
]);

/** Attributes that sums are made by, so that their values have to be few. */
const fewValued: ReadonlySet<string> = new Set([
  "http.route",
  "http.request.method",
  "db.collection.name",
  "db.operation.name",
  "db.query.summary",
  "messaging.destination.template",
  "rpc.method",
  "rpc.service",
  "error.type",
]);

/** Names that the conventions themselves end with what a user chose. */
const openEnded = /^(?:db\.query\.parameter|http\.(?:request|response)\.header|rpc\..*metadata)\./;

/** What the attributes of a row say about the conventions that its sender follows. */
interface RowConventions {
  /** names that have a successor which the row does not carry */
  readonly oldNames: readonly string[];
  /** names that it carries together with their successor */
  readonly doubledNames: readonly string[];
  readonly hasNewNames: boolean;
  /** -1 = none */
  readonly httpStatus: number;
  /** attribute names, and values that have to be few, with ids in them */
  readonly templates: readonly AttributeTemplate[];
}

interface AttributeTemplate extends NameTemplate {
  /** as sent */
  readonly text: string;
}

interface KeyMeaning {
  readonly name: string;
  readonly successors: readonly string[] | null;
  readonly isSuccessor: boolean;
  readonly isHttpStatus: boolean;
  readonly isFewValued: boolean;
  readonly template: NameTemplate | null;
}

const successors: ReadonlySet<string> = new Set([...renamedAttributes.values()].flat());
const httpStatusNames: ReadonlySet<string> = new Set(spanKeys.httpStatus);

/** Reads the attributes of the rows of one table; what a name means is looked up once. */
class TableConventions {
  readonly #table: SpanTable;
  readonly #templates: TemplateCache;
  /** by string id; null = nothing to us */
  readonly #meanings = new Map<number, KeyMeaning | null>();

  constructor(table: SpanTable) {
    this.#table = table;
    this.#templates = new TemplateCache(table.strings);
  }

  templateOfName(row: number): NameTemplate | null {
    return this.#templates.of(this.#table.name[row] as number);
  }

  of(row: number): RowConventions {
    const { attributes, attributeStart, attributeEnd } = this.#table;
    const old: KeyMeaning[] = [];
    const names = new Set<string>();
    const templates: AttributeTemplate[] = [];
    let httpStatus = -1;
    for (let i = attributeStart[row] as number; i < (attributeEnd[row] as number); i += 1) {
      const meaning = this.#meaningOf(attributes.key[i] as number);
      if (meaning === null) continue;
      if (meaning.successors !== null) old.push(meaning);
      if (meaning.isSuccessor) names.add(meaning.name);
      if (meaning.isHttpStatus) httpStatus = numberOf(attributes.valueAt(i));
      if (meaning.template !== null) templates.push({ ...meaning.template, text: meaning.name });
      if (meaning.isFewValued && attributes.type[i] === ValueType.String)
        this.#addValue(meaning.name, attributes.value[i] as number, templates);
    }
    const isDoubled = ({ successors: by }: KeyMeaning) => by?.some((name) => names.has(name)) ?? false;
    return {
      oldNames: namesOf(old.filter((meaning) => !isDoubled(meaning))),
      doubledNames: namesOf(old.filter(isDoubled)),
      hasNewNames: names.size > 0,
      httpStatus,
      templates,
    };
  }

  #addValue(name: string, stringId: number, templates: AttributeTemplate[]): void {
    const found = this.#templates.of(stringId);
    if (found === null) return;
    const { template, isCertain } = found;
    const text = this.#table.strings.get(stringId);
    templates.push({ template: `${name}=${template}`, isCertain, text: `${name}=${text}` });
  }

  #meaningOf(key: number): KeyMeaning | null {
    const known = this.#meanings.get(key);
    if (known !== undefined) return known;
    const name = this.#table.strings.get(key);
    const meaning: KeyMeaning = {
      name,
      successors: renamedAttributes.get(name) ?? null,
      isSuccessor: successors.has(name),
      isHttpStatus: httpStatusNames.has(name),
      isFewValued: fewValued.has(name),
      template: openEnded.test(name) ? null : this.#templates.of(key),
    };
    const { isSuccessor, isHttpStatus, isFewValued, template } = meaning;
    const isAnything =
      meaning.successors !== null || isSuccessor || isHttpStatus || isFewValued || template !== null;
    this.#meanings.set(key, isAnything ? meaning : null);
    return isAnything ? meaning : null;
  }
}

function namesOf(meanings: readonly KeyMeaning[]): readonly string[] {
  return meanings.map(({ name }) => name);
}

const known = new WeakMap<SpanTable, TableConventions>();

export function conventionsOf(table: SpanTable): TableConventions {
  let conventions = known.get(table);
  if (conventions === undefined) {
    conventions = new TableConventions(table);
    known.set(table, conventions);
  }
  return conventions;
}
