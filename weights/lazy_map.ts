// The read-only half of Map over something that makes its keys and values when they are asked for.

/** What {@link LazyMap} shows: entries by index. */
export interface MapContent<V> {
  readonly size: number;
  keyAt(index: number): string;
  valueAt(index: number): V;
  /** The index of a key, or -1. */
  find(key: string): number;
}

/** A map whose entries are made one by one, each time anew: a million of them never exist at once. */
export class LazyMap<V> implements ReadonlyMap<string, V> {
  private readonly content: MapContent<V>;

  /** @param content entries by index */
  constructor(content: MapContent<V>) {
    this.content = content;
  }

  /** How many entries. */
  get size(): number {
    return this.content.size;
  }

  /** @param key any text @returns its value, undefined when there is none */
  get(key: string): V | undefined {
    const index = this.content.find(key);
    return index < 0 ? undefined : this.content.valueAt(index);
  }

  /** @param key any text @returns whether there is such an entry */
  has(key: string): boolean {
    return this.content.find(key) >= 0;
  }

  /** @returns the keys, in order */
  *keys(): Generator<string, undefined> {
    for (let i = 0; i < this.content.size; i++) yield this.content.keyAt(i);
    return undefined;
  }

  /** @returns the values, in order */
  *values(): Generator<V, undefined> {
    for (let i = 0; i < this.content.size; i++) yield this.content.valueAt(i);
    return undefined;
  }

  /** @returns keys with values, in order */
  *entries(): Generator<[string, V], undefined> {
    for (let i = 0; i < this.content.size; i++) yield [this.content.keyAt(i), this.content.valueAt(i)];
    return undefined;
  }

  /** @returns as {@link entries} */
  [Symbol.iterator](): Generator<[string, V], undefined> {
    return this.entries();
  }

  /** @param call gets each value and key, in order */
  forEach(call: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this.entries()) call(value, key, this);
  }
}

/**
 * Several maps as one. Keys are expected to differ; of equal ones the first map's value is found.
 *
 * @param maps in order
 * @returns their entries in the same order
 */
export function joinedMap<V>(maps: readonly MapContent<V>[]): LazyMap<V> {
  if (maps.length === 1) return new LazyMap(maps[0]!);
  const ends: number[] = [];
  for (const map of maps) ends.push((ends.at(-1) ?? 0) + map.size);
  const place = (index: number): readonly [MapContent<V>, number] => {
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle]! > index) high = middle;
      else low = middle + 1;
    }
    return [maps[low]!, index - (ends[low - 1] ?? 0)];
  };
  return new LazyMap({
    size: ends.at(-1) ?? 0,
    keyAt(index) {
      const [map, i] = place(index);
      return map.keyAt(i);
    },
    valueAt(index) {
      const [map, i] = place(index);
      return map.valueAt(i);
    },
    find(key) {
      for (const [i, map] of maps.entries()) {
        const index = map.find(key);
        if (index >= 0) return index + (ends[i - 1] ?? 0);
      }
      return -1;
    },
  });
}
