import { ValueType } from "../model/attributes.ts";
import { openTracingNames, renamedAttributes, renamedResourceAttributes } from "../model/semconv.ts";
import type { SpanTable } from "../model/span-table.ts";
import { type NameTemplate, TemplateCache } from "./doctor-names.ts";

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
  /** names, on the resource too, that have a successor which the row does not carry */
  readonly oldNames: readonly string[];
  /** names of OpenTracing that OpenTelemetry has another for */
  readonly openTracingNames: readonly string[];
  /** names that it carries together with their successor */
  readonly doubledNames: readonly string[];
  readonly hasNewNames: boolean;
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
  readonly isOpenTracing: boolean;
  readonly isFewValued: boolean;
  readonly template: NameTemplate | null;
}

const successors: ReadonlySet<string> = new Set([...renamedAttributes.values()].flat());

/** Reads the attributes of the rows of one table; what a name means is looked up once. */
class TableConventions {
  readonly #table: SpanTable;
  readonly #templates: TemplateCache;
  /** by string id; null = nothing to us */
  readonly #meanings = new Map<number, KeyMeaning | null>();
  /** by resource: old names */
  readonly #oldOfResource = new Map<number, readonly string[]>();

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
    const openTracing: KeyMeaning[] = [];
    const templates: AttributeTemplate[] = [];
    for (let i = attributeStart[row] as number; i < (attributeEnd[row] as number); i += 1) {
      const meaning = this.#meaningOf(attributes.key[i] as number);
      if (meaning === null) continue;
      if (meaning.successors !== null) old.push(meaning);
      if (meaning.isSuccessor) names.add(meaning.name);
      if (meaning.isOpenTracing) openTracing.push(meaning);
      if (meaning.template !== null) templates.push({ ...meaning.template, text: meaning.name });
      if (meaning.isFewValued && attributes.type[i] === ValueType.String)
        this.#addValue(meaning.name, attributes.value[i] as number, templates);
    }
    const isDoubled = ({ successors: by }: KeyMeaning) => by?.some((name) => names.has(name)) ?? false;
    return {
      oldNames: [
        ...namesOf(old.filter((meaning) => !isDoubled(meaning))),
        ...this.#oldNamesOfResource(this.#table.resource[row] as number),
      ],
      openTracingNames: namesOf(openTracing),
      doubledNames: namesOf(old.filter(isDoubled)),
      hasNewNames: names.size > 0,
      templates,
    };
  }

  #oldNamesOfResource(resource: number): readonly string[] {
    const known = this.#oldOfResource.get(resource);
    if (known !== undefined) return known;
    const { attributes, resources } = this.#table;
    const names = new Set<string>();
    const end = resources.attributeEnd[resource] ?? 0;
    for (let i = resources.attributeStart[resource] ?? 0; i < end; i += 1) names.add(attributes.keyAt(i));
    const old = [...renamedResourceAttributes]
      .filter(([name, by]) => names.has(name) && !by.some((successor) => names.has(successor)))
      .map(([name]) => name);
    this.#oldOfResource.set(resource, old);
    return old;
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
      isOpenTracing: openTracingNames.has(name),
      isFewValued: fewValued.has(name),
      template: openEnded.test(name) ? null : this.#templates.of(key),
    };
    const { isSuccessor, isOpenTracing, isFewValued, template } = meaning;
    const isAnything =
      meaning.successors !== null || isSuccessor || isOpenTracing || isFewValued || template !== null;
    this.#meanings.set(key, isAnything ? meaning : null);
    return isAnything ? meaning : null;
  }
}

/** What OpenTelemetry says instead of a name that it does not use any more. */
export function successorsOf(name: string): readonly string[] {
  return (
    renamedAttributes.get(name) ?? renamedResourceAttributes.get(name) ?? openTracingNames.get(name) ?? []
  );
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
