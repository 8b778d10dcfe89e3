// Where the intermediate tensors of a plan lie: blocks whose lifetimes do not meet share bytes. Pure arithmetic, no GPU.

/** One tensor's storage: its bytes, and the first and last command that touches it. */
export interface Block {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  /** Indices of blocks that may not lie in the same buffer: WebGPU forbids that one dispatch reads and writes one buffer, whatever the ranges. */
  readonly apart: ReadonlySet<number>;
}

/** Which buffer a block lies in, and at which byte. */
export interface Place {
  readonly arena: number;
  readonly offset: number;
}

export interface Layout {
  readonly places: readonly Place[];
  /** Bytes of each buffer. */
  readonly arenas: readonly number[];
}

const ALIGNMENT = 256;
const padded = (bytes: number): number => Math.ceil(Math.max(1, bytes) / ALIGNMENT) * ALIGNMENT;

/** The lowest free byte of an arena where a block fits among those that live at the same time, or -1. */
function gap(arenaBytes: number, bytes: number, busy: readonly { offset: number; end: number }[]): number {
  let at = 0;
  for (const { offset, end } of [...busy].sort((a, b) => a.offset - b.offset)) {
    if (offset - at >= bytes) break;
    at = Math.max(at, end);
  }
  return at + bytes <= arenaBytes ? at : -1;
}

/**
 * Puts blocks into buffers, the largest first, each at the lowest place of the first buffer that has room; a block that fits nowhere opens a buffer of its own size.
 * @param blocks sizes and lifetimes @returns a place per block, and the sizes of the buffers
 */
export function layOut(blocks: readonly Block[]): Layout {
  const order = blocks.map((_, i) => i).sort((a, b) => blocks[b]!.bytes - blocks[a]!.bytes || blocks[a]!.first - blocks[b]!.first);
  const places: Place[] = new Array<Place>(blocks.length);
  const arenas: { bytes: number; members: number[] }[] = [];
  for (const i of order) {
    const block = blocks[i]!;
    const bytes = padded(block.bytes);
    let found: Place | undefined;
    for (let a = 0; a < arenas.length && !found; a++) {
      const { bytes: size, members } = arenas[a]!;
      if (size < bytes || members.some(m => block.apart.has(m))) continue;
      const busy = members.filter(m => blocks[m]!.first <= block.last && block.first <= blocks[m]!.last).map(m => ({ offset: places[m]!.offset, end: places[m]!.offset + padded(blocks[m]!.bytes) }));
      const offset = gap(size, bytes, busy);
      if (offset >= 0) found = { arena: a, offset };
    }
    if (!found) {
      arenas.push({ bytes, members: [] });
      found = { arena: arenas.length - 1, offset: 0 };
    }
    arenas[found.arena]!.members.push(i);
    places[i] = found;
  }
  return { places, arenas: arenas.map(a => a.bytes) };
}

/** The most bytes that live at one command: no layout can do with less. @param blocks sizes and lifetimes @returns bytes */
export function livenessBound(blocks: readonly Block[]): number {
  const changes = new Map<number, number>();
  const add = (at: number, bytes: number): void => { changes.set(at, (changes.get(at) ?? 0) + bytes); };
  for (const { bytes, first, last } of blocks) {
    add(first, bytes);
    add(last + 1, -bytes);
  }
  let live = 0, most = 0;
  for (const [, bytes] of [...changes].sort((a, b) => a[0] - b[0])) most = Math.max(most, live += bytes);
  return most;
}
