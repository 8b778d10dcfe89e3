// Which faults a run plants: seeded, over all files in proportion to their code, kinds in turn, none twice.
import { dice, hash } from '../proofs/draw.ts';
import type { Kernel } from '../../engine/dispatch.ts';
import { SPECIAL } from '../../kernels/wgsl.gen.ts';
import { sitesOf, weightOf } from './sites.ts';
import type { Site } from './sites.ts';

const MARKER = '\n// From special.wgsl.\n';

/** The text of the file itself, without the functions that gen.mjs put behind it. @param kernel generated description @returns WGSL */
export const ownText = ({ code }: Kernel): string => code.split(MARKER)[0]!;

/** A line of special.wgsl as gen.mjs writes it over Elem. */
const overElem = (line: string): string => line.replace(/\bvec4([fui])\b/g, (_, t: string) => `Elem${t === 'f' ? '' : t.toUpperCase()}`).replace(/\b([a-z]\w*|[A-Z]\w*)4\b/g, '$1_elem');

/** Kernels with a fault planted. @param kernels all @param site fault @returns new text by kernel name; empty where no kernel holds the place */
export function planted(kernels: readonly Kernel[], site: Site): Map<string, string> {
  const out = new Map<string, string>();
  if (site.file !== 'special') {
    const kernel = kernels.find(k => k.name === site.file)!;
    return out.set(kernel.name, kernel.code.slice(0, site.start) + site.to + kernel.code.slice(site.end));
  }
  const lines = SPECIAL.split('\n');
  const before = lines[site.line - 1]!;
  const start = lines.slice(0, site.line - 1).reduce((n, l) => n + l.length + 1, 0);
  const after = before.slice(0, site.start - start) + site.to + before.slice(site.end - start);
  for (const { name, code } of kernels) {
    const [own, tail] = code.split(MARKER);
    if (!tail) continue;
    const changed = tail.split('\n').map(l => (l === before ? after : l === overElem(before) ? overElem(after) : l)).join('\n');
    if (changed !== tail) out.set(name, own + MARKER + changed);
  }
  return out;
}

/** Sites of special.wgsl on lines that stand there once and that some kernel holds. */
function specialSites(kernels: readonly Kernel[]): Site[] {
  const lines = SPECIAL.split('\n');
  const once = (line: number): boolean => lines.filter(l => l === lines[line - 1]).length === 1;
  const held = new Set(kernels.flatMap(k => (k.code.split(MARKER)[1] ?? '').split('\n')));
  const there = (line: string): boolean => held.has(line) || held.has(overElem(line));
  return sitesOf('special', SPECIAL).filter(s => !s.from.includes('\n') && there(lines[s.line - 1]!) && once(s.line));
}

/** Sites of all files. @param kernels all @param only one file @returns sites and weight by file */
function files(kernels: readonly Kernel[], only: string | undefined): { name: string; sites: Site[]; weight: number }[] {
  const all = kernels.map(k => ({ name: k.name, sites: sitesOf(k.name, ownText(k)), weight: weightOf(ownText(k)) }));
  const special = specialSites(kernels);
  const weight = new Set(special.map(s => s.line)).size;
  const found = [...all, { name: 'special', sites: special, weight }].filter(f => f.sites.length && (only === undefined || f.name === only)).sort((a, b) => a.weight - b.weight); // cheap ones first
  if (!found.length) throw new Error(`mutate: no file is named ${only}, expected one of ${all.map(f => f.name).join(', ')}`);
  return found;
}

/** Shares of `count`, at least two each, in proportion to the weights. */
function shares(weights: readonly number[], count: number): number[] {
  const total = weights.reduce((n, w) => n + w, 0);
  const exact = weights.map(w => (count * w) / total);
  const out = exact.map(e => Math.max(Math.min(2, count), Math.floor(e)));
  for (let left = count - out.reduce((n, v) => n + v, 0); left > 0; left--) {
    const i = exact.map((e, k) => e - out[k]!).reduce((best, d, k, all) => (d > all[best]! ? k : best), 0);
    out[i]!++;
  }
  return out;
}

/**
 * Draws the faults of a run. @param kernels all @param options count, seed, one file alone
 * @returns distinct sites; fewer than asked for where the files have no more
 */
export function drawSites(kernels: readonly Kernel[], { count, seed, file }: { count: number; seed: number; file?: string | undefined }): Site[] {
  const found = files(kernels, file);
  const wanted = shares(found.map(f => f.weight), count);
  return found.flatMap(({ name, sites }, at) => {
    const d = dice(hash(`mutation ${name}`, seed));
    /** kind → pattern → sites: kinds in turn, then any pattern, then any of its places. */
    const kinds = new Map<string, Map<string, Site[]>>();
    for (const s of sites) {
      const patterns = kinds.get(s.kind) ?? new Map<string, Site[]>();
      kinds.set(s.kind, patterns.set(s.pattern, [...(patterns.get(s.pattern) ?? []), s]));
    }
    const chosen: Site[] = [];
    while (chosen.length < wanted[at]! && kinds.size) {
      const kind = d.pick([...kinds.keys()]);
      const patterns = kinds.get(kind)!;
      const pattern = d.pick([...patterns.keys()]);
      chosen.push(d.pick(patterns.get(pattern)!));
      patterns.delete(pattern);
      if (!patterns.size) kinds.delete(kind);
    }
    return chosen;
  });
}
