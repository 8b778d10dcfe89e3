/** How a checkpoint's names meet a network's table: by name and shape alone, in time that does not depend on what a hostile file holds. */
import { fitsF32 } from '../weights/dtype.ts';
import { quote, WeightError } from '../weights/error.ts';
import type { Safetensors } from '../weights/safetensors.ts';
import type { LoadOptions, TensorSpec } from './params.ts';

/** How a checkpoint's names meet a network's table. */
export interface Match {
  /** The table's name -> the stored name. */
  readonly found: ReadonlyMap<string, string>;
  /** Stored names that are left out on purpose. */
  readonly skipped: readonly string[];
  /** Doubled, missing, misshapen and unused tensors, the middle two in the order of the table. */
  readonly problems: readonly WeightError[];
}

/** Problems of one kind that are told one by one. */
const MOST_PROBLEMS = 1000;
/** Cells of edit distance tables that all nearest names of one comparison may cost, some tenths of a second. */
const NEAREST_WORK = 30_000_000;
const WRAPPERS = /^(?:(?:model|vjepa2|encoder|text_model|language_model)\.)+/;

/** Name without the prefixes that wrapper classes add: `vjepa2.encoder.layer.0.x` and `layer.0.x` are the same tensor. */
const bareName = (name: string): string => name.replace(WRAPPERS, '');

/** A stored name in a message. */
const shown = (name: string): string => (/^[\x21-\x7e]{1,200}$/.test(name) ? name : quote(name));

/**
 * Compares names and shapes without reading values.
 *
 * @param checkpoint an open safetensors file or sharded folder
 * @param specs the network's table
 * @param options prefix, skip, where
 * @returns which stored name is which tensor, and what is wrong
 */
export function matchTensors(checkpoint: Pick<Safetensors, 'tensors'>, specs: readonly TensorSpec[], options: LoadOptions = {}): Match {
  const { where = 'checkpoint', prefix = '', skip = [] } = options;
  const wanted = new Map(specs.map(({ name }) => [bareName(name), name]));
  const problems: WeightError[] = [];
  const found = new Map<string, string>();
  const stripped = new Map<string, string>(); // bare name -> stored name with a wrapper
  const skipped: string[] = [];
  const unused: string[] = [];
  let unusedCount = 0;
  for (const name of checkpoint.tensors.keys()) {
    if (!name.startsWith(prefix)) continue;
    const bare = bareName(name.slice(prefix.length));
    const wrapped = prefix.length + bare.length < name.length;
    const twin = stripped.get(bare) ?? (wrapped && checkpoint.tensors.has(prefix + bare) ? prefix + bare : undefined);
    if (twin !== undefined && twin !== name) {
      if (wrapped && problems.length < MOST_PROBLEMS) problems.push(new WeightError('index-tensor-extra', `${where}: ${shown(name)} and ${shown(twin)} are the same tensor, expected one of them`));
      if (stripped.has(bare)) continue;
    }
    if (wrapped) stripped.set(bare, name);
    const target = wanted.get(bare);
    if (target !== undefined) {
      if (!found.has(target)) found.set(target, name);
    } else if (skip.some((pattern) => pattern.test(bare))) skipped.push(name);
    else if (unusedCount++ < 5) unused.push(shown(name));
  }
  const nearest = new NearestName(checkpoint, prefix);
  for (const { name, shape: expected } of specs) {
    const stored = found.get(name);
    if (stored === undefined) {
      if (problems.length < MOST_PROBLEMS) problems.push(missing(where, prefix + name, nearest.to(prefix + name)));
      continue;
    }
    const { shape, dtype } = checkpoint.tensors.get(stored)!;
    if (!fitsF32(dtype)) problems.push(new WeightError('dtype-unsupported', `${where}: ${shown(stored)} is stored as ${dtype}, and ${dtype} does not fit f32 exactly, expected F32, BF16 or F16`));
    if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
      problems.push(new WeightError('target-size', `${where}: ${shown(stored)} has shape [${shape.join(', ')}], expected [${expected.join(', ')}] (from the config)`));
    }
  }
  if (unusedCount > 0) {
    const list = unused.join(', ') + (unusedCount > 5 ? `, and ${unusedCount - 5} more` : '');
    problems.push(new WeightError('index-tensor-extra', `${where}: ${unusedCount} tensor(s) are not used by this network, expected none: ${list} (a config of another network?)`));
  }
  return { found, skipped, problems };
}

/** @param where what was searched @param name what is missing @param nearest the most similar stored name */
export function missing(where: string, name: string, nearest: string | undefined): WeightError {
  return new WeightError('tensor-missing', `${where}: ${name} is missing${nearest === undefined ? ', and nothing is stored' : `, the nearest name is ${shown(nearest)}`}`);
}

/** Finds similar names until its work is used up; a hostile file has a million. */
class NearestName {
  private readonly checkpoint: Pick<Safetensors, 'tensors'>;
  private readonly prefix: string;
  private names: readonly string[] | undefined;
  private work = NEAREST_WORK;

  constructor(checkpoint: Pick<Safetensors, 'tensors'>, prefix: string) {
    this.checkpoint = checkpoint;
    this.prefix = prefix;
  }

  /** The stored name with the smallest edit distance; the first one when there is no time left to compare. */
  to(name: string): string | undefined {
    this.names ??= this.candidates();
    return nearestName(name, this.names, (cells) => (this.work -= cells) > 0);
  }

  private candidates(): string[] {
    const names: string[] = [];
    for (const name of this.checkpoint.tensors.keys()) {
      if (names.length === 50_000) break;
      if (name.startsWith(this.prefix) && name.length <= 400) names.push(name);
    }
    return names;
  }
}

/**
 * @param name what is looked for
 * @param stored names to compare
 * @param spend told the cost of each comparison before it is made; false ends the search
 * @returns the stored name with the smallest edit distance
 */
export function nearestName(name: string, stored: readonly string[], spend: (cells: number) => boolean = () => true): string | undefined {
  let best = stored[0];
  let bestDistance = Infinity;
  for (const candidate of stored) {
    if (Math.abs(name.length - candidate.length) >= bestDistance) continue;
    if (!spend(name.length * candidate.length)) break;
    const distance = editDistance(name, candidate, bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance; gives up once it cannot be below `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  let row = Uint16Array.from({ length: b.length + 1 }, (_, j) => j);
  let next = new Uint16Array(b.length + 1);
  for (let i = 1; i <= a.length; i++) {
    next[0] = i;
    let least = i;
    const code = a.charCodeAt(i - 1);
    for (let j = 1; j <= b.length; j++) {
      const cost = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (code === b.charCodeAt(j - 1) ? 0 : 1));
      next[j] = cost;
      if (cost < least) least = cost;
    }
    if (least >= limit) return Infinity;
    [row, next] = [next, row];
  }
  return row[b.length]!;
}
