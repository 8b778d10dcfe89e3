// Counts of a mutation run, and its survivors against the list of those that are known to change nothing.
import type { Site } from './sites.ts';
import type { Judged } from './workers.ts';

/** A fault that no test sees, with the reason. The line's text names its place, so that the list outlives edits elsewhere. `missed`: it could be seen; without it nothing changes. */
export interface Survivor { readonly file: string; readonly before: string; readonly after: string; readonly reason: string; readonly missed?: boolean }

type Lines = (site: Site) => { before: string; after: string };

/** Which check ended a fault. */
const CHECKS: readonly (readonly [string, RegExp])[] = [
  ['hang', /^hang/], ['test/kernels', /^test.kernels/], ['driver', /^driver/], ['guard', /guard|outside|beyond|before the|behind the/], ['second run or poison', /another poison|second run/], ['position in the batch', /position in the batch/],
  ['NaN and infinity', /^nonfinite/], ['gradient', /^gradient/], ['integers and copies', /bit|expected exactly|equal/], ['thrown', /^threw/], ['float64', /NMSE|element|tolerance|result/],
];

/** @param fault text of a verdict @returns name of the check */
export const checkOf = (fault: string): string => CHECKS.find(([, pattern]) => pattern.test(fault))?.[0] ?? 'other';

/** What a run found. */
export interface Summary {
  readonly date: string;
  readonly command: string;
  readonly adapter: string;
  readonly planted: number;
  /** Refused by the compiler: these do not count. */
  readonly refused: number;
  readonly compiled: number;
  readonly killed: number;
  /** Share of the compiled, in percent; and without the survivors that are known to change nothing. */
  readonly score: number;
  readonly scoreOfVisible: number;
  readonly byCheck: Readonly<Record<string, number>>;
  readonly byKind: Readonly<Record<string, string>>;
  readonly byFile: Readonly<Record<string, string>>;
  readonly survivors: readonly { readonly file: string; readonly line: number; readonly kind: string; readonly before: string; readonly after: string; readonly reason: string | undefined; readonly missed: boolean }[];
  readonly errors: readonly string[];
  /** Every fault with its verdict and what ended it. */
  readonly faults: readonly string[];
}

const short = (text: string, most: number): string => { const line = text.replace(/\s+/g, ' '); return line.length > most ? `${line.slice(0, most)}…` : line; };

/** `killed/compiled` by a key. */
function shares(judged: readonly Judged[], key: (site: Site) => string): Record<string, string> {
  const out: Record<string, [number, number]> = {};
  for (const { site, verdict } of judged) {
    const row = (out[key(site)] ??= [0, 0]);
    row[1]++;
    if (verdict.result === 'killed') row[0]++;
  }
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, [killed, all]]) => [k, `${killed}/${all}`]));
}

/** @param judged all faults @param known survivors with reasons @param lines text of a place @param run settings @returns counts and survivors */
export function summary(judged: readonly Judged[], known: readonly Survivor[], lines: Lines, run: { seed: number; count: number; adapter: string; file?: string | undefined; broken: readonly string[] }): Summary {
  const compiled = judged.filter(j => j.verdict.result === 'killed' || j.verdict.result === 'survived');
  const killed = compiled.filter(j => j.verdict.result === 'killed');
  const byCheck: Record<string, number> = {};
  for (const { verdict } of killed) if (verdict.result === 'killed') byCheck[checkOf(verdict.detail)] = (byCheck[checkOf(verdict.detail)] ?? 0) + 1;
  const survivors = compiled.filter(j => j.verdict.result === 'survived').map(({ site }) => {
    const { before, after } = lines(site);
    const entry = known.find(k => k.file === site.file && k.before === before && k.after === after);
    return { file: site.file, line: site.line, kind: site.kind, before, after, reason: entry?.reason, missed: entry?.missed ?? !entry };
  });
  const percent = (part: number, all: number): number => Number(((100 * part) / Math.max(1, all)).toFixed(2));
  const silent = survivors.filter(s => !s.missed).length;
  return {
    date: new Date().toISOString(), command: `npm run mutate -- --count ${run.count} --seed ${run.seed}${run.file ? ` --file ${run.file}` : ''}`, adapter: run.adapter,
    planted: judged.length, refused: judged.filter(j => j.verdict.result === 'refused').length, compiled: compiled.length, killed: killed.length,
    score: percent(killed.length, compiled.length), scoreOfVisible: percent(killed.length, compiled.length - silent),
    byCheck, byKind: shares(compiled, s => s.kind), byFile: shares(compiled, s => s.file), survivors,
    errors: [...run.broken, ...judged.flatMap(({ site, verdict }) => (verdict.result === 'error' ? [`${site.file}.wgsl:${site.line} ${site.from} => ${site.to}: ${verdict.detail}`] : []))],
    faults: judged.map(({ site, verdict }) => {
      const by = verdict.result === 'killed' ? `${verdict.by}: ${verdict.detail}` : 'detail' in verdict ? verdict.detail : '';
      return `${site.file}.wgsl:${site.line} ${site.kind}: ${short(site.from, 60)} => ${short(site.to, 60)}: ${verdict.result} ${short(by, 80)}`;
    }),
  };
}

/** @param s counts @returns lines for people */
export function listed(s: Summary): string {
  const rows = s.survivors.map(v => `survived ${v.file}.wgsl:${v.line} (${v.kind})\n  - ${v.before}\n  + ${v.after}\n  ${v.missed && v.reason ? 'missed: ' : ''}${v.reason ?? 'NOT in survivors.json'}`);
  return [
    ...rows, ...s.errors.map(e => `error: ${e}`), `on ${s.adapter}`, `killed by: ${Object.entries(s.byCheck).sort((a, b) => b[1] - a[1]).map(([k, n]) => `${k} ${n}`).join(', ')}`,
    `${s.planted} planted, ${s.refused} refused by the compiler, ${s.compiled} compiled, ${s.killed} killed: ${s.score} % (${s.scoreOfVisible} % of those that change a result)`,
  ].join('\n');
}
