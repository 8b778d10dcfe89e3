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

/** The largest first, each at the lowest place of the first buffer that has room; a block that fits nowhere opens a buffer of its own size. */
function bySize(blocks: readonly Block[]): Layout {
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

/** In order of time into given buffers, smallest first, one step back at a dead end. Undefined when `budget` attempts do not suffice. */
function byTime(blocks: readonly Block[], arenas: readonly number[], budget: number): Layout | undefined {
  const order = blocks.map((_, i) => i).sort((a, b) => blocks[a]!.first - blocks[b]!.first || blocks[b]!.bytes - blocks[a]!.bytes);
  const places: (Place | undefined)[] = new Array<Place | undefined>(blocks.length);
  const members: number[][] = arenas.map(() => []);
  const next: number[] = order.map(() => 0); // the arena that a block tries next
  for (let depth = 0, spent = 0; depth < order.length; spent++) {
    if (spent > budget) return undefined;
    const block = blocks[order[depth]!]!;
    const bytes = padded(block.bytes);
    let placed = false;
    for (let a = next[depth]!; a < arenas.length && !placed; a++) {
      if (arenas[a]! < bytes || [...block.apart].some(m => places[m]?.arena === a)) continue;
      const live = members[a]!.filter(m => blocks[m]!.last >= block.first);
      const offset = gap(arenas[a]!, bytes, live.map(m => ({ offset: places[m]!.offset, end: places[m]!.offset + padded(blocks[m]!.bytes) })));
      if (offset < 0) continue;
      places[order[depth]!] = { arena: a, offset };
      members[a]!.push(order[depth]!);
      next[depth] = a + 1;
      placed = true;
    }
    if (placed) {
      depth++;
      if (depth < order.length) next[depth] = 0;
    } else {
      if (depth-- === 0) return undefined;
      const before = order[depth]!;
      members[places[before]!.arena]!.pop();
      places[before] = undefined;
    }
  }
  return { places: places as Place[], arenas };
}

const total = (arenas: readonly number[]): number => arenas.reduce((a, b) => a + b, 0);

/** Sets of buffers with fewer bytes than one that works: one buffer left out, another as large as some block. The smallest sum first. */
function smallerSets(arenas: readonly number[], sizes: readonly number[], least: number): number[][] {
  const found = new Map<string, number[]>();
  for (const k of arenas.keys()) {
    const rest = arenas.filter((_, i) => i !== k);
    for (const set of [rest, ...rest.flatMap((own, i) => sizes.filter(s => s > own).map(s => rest.map((v, n) => (n === i ? s : v))))]) {
      const sorted = set.sort((a, b) => a - b);
      if (total(sorted) >= least && total(sorted) < total(arenas)) found.set(sorted.join(), sorted);
    }
  }
  return [...found.values()].sort((a, b) => total(a) - total(b));
}

/** How near the bound is near enough, and how much is tried to come nearer. */
const NEAR = 1.05, MOST_SETS = 64, MOST_BUFFERS = 16;

/**
 * Puts blocks into buffers: by size first; where that takes more than the bound, fewer bytes in fewer buffers are tried, in order of time.
 * @param blocks sizes and lifetimes @returns a place per block, and the sizes of the buffers
 */
export function layOut(blocks: readonly Block[]): Layout {
  let best = bySize(blocks);
  const least = livenessBound(blocks);
  const sizes = [...new Set(blocks.map(b => padded(b.bytes)))];
  for (let left = MOST_SETS; left > 0 && total(best.arenas) > NEAR * least && best.arenas.length <= MOST_BUFFERS;) {
    let better: Layout | undefined;
    for (const arenas of smallerSets(best.arenas, sizes, least).slice(0, left)) {
      left--;
      better = byTime(blocks, arenas, 4 * blocks.length);
      if (better) break;
    }
    if (!better) break;
    best = better;
  }
  return best;
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
