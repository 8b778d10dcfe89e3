// A set of names that lie in a header's own bytes. A Map would need a string for each: a million names would be 100 MB and most of the time
// of reading them. Here a name costs its place and a slot, and becomes a string when it is asked for.

import type { JsonScanner } from './json_scanner.ts';

const DECODER = new TextDecoder('utf-8', { ignoreBOM: true }); // the default hides a mark at the start of a name
const ENCODER = new TextEncoder();
const QUOTE = 0x22;
const CLOSE = 0xff; // in no UTF-8 text

/** Names in the order they were added, each with an index from 0. */
export class NameTable {
  private readonly bytes: Uint8Array;
  /** Where each name begins behind its quote; below 0, ~place in `decoded`. */
  private places: Int32Array;
  /** Names that are written with escapes, unescaped, each with a closing byte behind it. */
  private decoded = new Uint8Array(0);
  private decodedLength = 0;
  /** Open addressing: index + 1, or 0. */
  private slots: Int32Array;
  private readonly seed = (Math.random() * 0x100000000) | 0; // so that nobody can write a file whose names all collide
  /** How many names there are. */
  count = 0;

  /**
   * @param bytes the header
   * @param capacity how many names room is made for at first
   */
  constructor(bytes: Uint8Array, capacity = 16) {
    this.bytes = bytes;
    this.places = new Int32Array(capacity);
    this.slots = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(16, capacity * 1.5))));
  }

  /**
   * Adds the string that the scanner read last.
   *
   * @param scanner over the same bytes
   * @returns whether it is new
   */
  add(scanner: JsonScanner): boolean {
    if (!scanner.escaped) return this.insert(scanner.bytes, scanner.start, scanner.stop);
    const text = ENCODER.encode(scanner.text());
    return this.insert(text, 0, text.length);
  }

  private insert(from: Uint8Array, start: number, stop: number): boolean {
    const slot = this.slotOf(from, start, stop);
    if (this.slots[slot] !== 0) return false;
    if (this.count === this.places.length) {
      const more = new Int32Array(this.count * 2);
      more.set(this.places);
      this.places = more;
    }
    this.places[this.count] = from === this.bytes ? start : ~this.keep(from);
    this.slots[slot] = ++this.count;
    if (this.count * 4 > this.slots.length * 3) this.grow();
    return true;
  }

  /** Copies an unescaped name. @returns its place */
  private keep(text: Uint8Array): number {
    const at = this.decodedLength;
    this.decodedLength += text.length + 1;
    if (this.decodedLength > this.decoded.length) {
      const more = new Uint8Array(Math.max(256, this.decodedLength * 2));
      more.set(this.decoded);
      this.decoded = more;
    }
    this.decoded.set(text, at);
    this.decoded[this.decodedLength - 1] = CLOSE;
    return at;
  }

  /**
   * @param name any text
   * @returns its index, or -1
   */
  find(name: string): number {
    const bytes = ENCODER.encode(name);
    const index = this.slots[this.slotOf(bytes, 0, bytes.length)]! - 1;
    return index >= 0 && this.at(index) === name ? index : -1; // the encoder turns a lone surrogate into another character
  }

  /**
   * @param index of a name
   * @returns the name
   */
  at(index: number): string {
    const [from, start, close] = this.place(index);
    return DECODER.decode(from.subarray(start, from.indexOf(close, start)));
  }

  /** Where a name is, and the byte that closes it there. */
  private place(index: number): readonly [from: Uint8Array, start: number, close: number] {
    const place = this.places[index]!;
    return place < 0 ? [this.decoded, ~place, CLOSE] : [this.bytes, place, QUOTE];
  }

  /** The slot that holds the name, or the empty one where it belongs. */
  private slotOf(from: Uint8Array, start: number, stop: number): number {
    const { slots, places, bytes } = this;
    const mask = slots.length - 1;
    for (let slot = this.hash(from, start, stop) & mask; ; slot = (slot + 1) & mask) {
      const index = slots[slot]! - 1;
      if (index < 0) return slot;
      const place = places[index]!;
      if (place < 0 ? same(this.decoded, ~place, CLOSE, from, start, stop) : same(bytes, place, QUOTE, from, start, stop)) return slot;
    }
  }

  /** FNV-1a from a random start, with the high bits mixed down. */
  private hash(from: Uint8Array, start: number, stop: number): number {
    let hash = this.seed;
    for (let i = start; i < stop; i++) hash = Math.imul(hash ^ from[i]!, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return hash ^ (hash >>> 13);
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2);
    const { slots } = this;
    const mask = slots.length - 1;
    for (let index = 0; index < this.count; index++) {
      const [from, start, close] = this.place(index);
      let slot = this.hash(from, start, from.indexOf(close, start)) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
  }
}

/** A name that lies in the header has no quote inside, or it would be written with an escape. */
function same(stored: Uint8Array, at: number, close: number, from: Uint8Array, start: number, stop: number): boolean {
  const length = stop - start;
  if (stored[at + length] !== close) return false;
  for (let i = length - 1; i >= 0; i--) if (stored[at + i] !== from[start + i] || stored[at + i] === close) return false; // names differ at their ends
  return true;
}
