/** A result as JSON text in pieces: a checkpoint of a million tensors is never one string. */

/** Items made one by one, with a length. */
export class LazyList<T> implements Iterable<T> {
  readonly length: number;
  private readonly items: () => Iterable<T>;

  /**
   * @param length how many items
   * @param items makes them, each time anew
   */
  constructor(length: number, items: () => Iterable<T>) {
    this.length = length;
    this.items = items;
  }

  /** @returns the items in order */
  [Symbol.iterator](): Iterator<T> {
    return this.items()[Symbol.iterator]();
  }

  /** @returns all items at once */
  toJSON(): T[] {
    return [...this];
  }
}

const PIECE = 1000; // items

/**
 * @param result an object as `JSON.stringify` takes it; its fields may be a {@link LazyList}, or a map of texts
 * @returns the text of `JSON.stringify` in pieces, maps as objects
 */
export function* jsonPieces(result: unknown): Generator<string, undefined> {
  if (typeof result !== 'object' || result === null || Array.isArray(result) || 'toJSON' in result) {
    yield JSON.stringify(result);
    return undefined;
  }
  let before = '{';
  for (const [key, value] of Object.entries(result)) {
    const lazy = value instanceof LazyList || isMap(value);
    const text = lazy ? '' : JSON.stringify(value) as string | undefined;
    if (text === undefined) continue; // undefined and functions have no JSON
    yield `${before}${JSON.stringify(key)}:${text}`;
    before = ',';
    if (value instanceof LazyList) yield* listPieces(value);
    else if (isMap(value)) yield* mapPieces(value);
  }
  yield before === '{' ? '{}' : '}';
  return undefined;
}

/** A map, also one that only looks like it (a checkpoint's metadata). */
function isMap(value: unknown): value is ReadonlyMap<string, string> {
  return typeof value === 'object' && value !== null && 'entries' in value && 'get' in value && 'size' in value;
}

function* listPieces(list: Iterable<unknown>): Generator<string> {
  yield* grouped('[', ']', list, (item) => JSON.stringify(item));
}

function* mapPieces(map: ReadonlyMap<string, string>): Generator<string> {
  yield* grouped('{', '}', map.entries(), ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
}

function* grouped<T>(open: string, close: string, items: Iterable<T>, text: (item: T) => string): Generator<string> {
  let piece: string[] = [];
  let before = open;
  for (const item of items) {
    piece.push(text(item));
    if (piece.length < PIECE) continue;
    yield before + piece.join();
    before = ',';
    piece = [];
  }
  if (piece.length > 0) yield before + piece.join() + close;
  else yield before === open ? open + close : close;
}
