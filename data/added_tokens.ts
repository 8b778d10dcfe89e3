/** A node of a tree of UTF-16 units. */
interface Node {
  readonly next: Map<number, Node>;
  id: number; // -1: no token ends here
}

/** Finds tokens that stand for themselves: at each place from the left the longest one, as the Aho-Corasick search of the Rust package does. */
export class AddedTokens {
  readonly #root: Node = { next: new Map(), id: -1 };

  /**
   * @param tokens their texts and ids; of equal texts the last counts
   */
  constructor(tokens: Iterable<readonly [string, number]>) {
    for (const [content, id] of tokens) {
      let node = this.#root;
      for (let i = 0; i < content.length; i++) {
        const unit = content.charCodeAt(i);
        let next = node.next.get(unit);
        if (!next) node.next.set(unit, (next = { next: new Map(), id: -1 }));
        node = next;
      }
      node.id = id;
    }
  }

  /**
   * @param text any text
   * @returns its parts in order: texts without tokens, and ids of tokens
   */
  *split(text: string): Generator<string | number> {
    const first = this.#root.next;
    let start = 0;
    for (let i = 0; first.size > 0 && i < text.length; ) {
      let node = first.get(text.charCodeAt(i));
      if (!node) {
        i++;
        continue;
      }
      let id = node.id;
      let end = i + 1;
      for (let j = i + 1; j < text.length; ) {
        node = node.next.get(text.charCodeAt(j++));
        if (!node) break;
        if (node.id >= 0) [id, end] = [node.id, j];
      }
      if (id < 0) {
        i++;
        continue;
      }
      if (start < i) yield text.slice(start, i);
      yield id;
      start = i = end;
    }
    if (start < text.length) yield text.slice(start);
  }
}
