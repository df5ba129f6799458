import { grow } from "../base/grow.ts";

/** Texts that many records share, numbered; a text is forgotten with the last record that holds it. */
export class TextPool {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  #holders = new Uint32Array(64);
  readonly #freed: number[] = [];

  /** Texts by their numbers, each held once. */
  static of(texts: readonly string[]): TextPool {
    const pool = new TextPool();
    for (const [id, text] of texts.entries()) {
      pool.#texts[id] = text;
      pool.#ids.set(text, id);
    }
    pool.#holders = new Uint32Array(Math.max(64, texts.length)).fill(1);
    return pool;
  }

  /** By number; "" for those that are free. */
  get all(): readonly string[] {
    return this.#texts;
  }

  hold(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#freed.pop() ?? this.#texts.length;
      if (id >= this.#holders.length) this.#holders = grow(this.#holders, id + 1);
      this.#ids.set(text, id);
      this.#texts[id] = text;
      this.#holders[id] = 0;
    }
    this.#holders[id] = (this.#holders[id] as number) + 1;
    return id;
  }

  letGo(id: number): void {
    const holders = (this.#holders[id] as number) - 1;
    this.#holders[id] = holders;
    if (holders > 0) return;
    this.#ids.delete(this.get(id));
    this.#texts[id] = "";
    this.#freed.push(id);
  }

  get(id: number): string {
    return this.#texts[id] ?? "";
  }

  find(text: string): number | undefined {
    return this.#ids.get(text);
  }

  /** 1 for each id whose text passes. */
  select(passes: (text: string) => boolean): Uint8Array {
    const selected = new Uint8Array(this.#texts.length);
    for (const [text, id] of this.#ids) if (passes(text)) selected[id] = 1;
    return selected;
  }
}
