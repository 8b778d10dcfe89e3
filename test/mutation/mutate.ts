// npm run mutate -- --count N --seed S [--file NAME] [--log FILE] [--output FILE] [--jobs N] [--driver NAME] [--again LOG]: plants single faults in the shaders and counts how
// many the fast profile of the proofs kills. Exit code 1 when a survivor is not in survivors.json.
// --again takes the log of an earlier run of the same faults and judges only those that it did not kill. Node only.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { KERNELS, SPECIAL } from '../../kernels/wgsl.gen.ts';
import type { Kernel } from '../../engine/dispatch.ts';
import { DRIVERS, environmentFor } from '../proofs/drivers.ts';
import type { Driver } from '../proofs/drivers.ts';
import { Workers } from './workers.ts';
import type { Judged } from './workers.ts';
import { summary, listed } from './summary.ts';
import type { Survivor } from './summary.ts';
import { drawSites, ownText } from './select.ts';
import type { Site } from './sites.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '400' }, seed: { type: 'string', default: '1' }, file: { type: 'string' }, log: { type: 'string' }, output: { type: 'string' },
    jobs: { type: 'string', default: '1' }, driver: { type: 'string', default: 'best' }, again: { type: 'string' },
  },
});

function whole(name: 'count' | 'seed' | 'jobs', least: number): number {
  const n = Number(values[name]);
  if (!Number.isInteger(n) || n < least) throw new Error(`mutate: --${name} is ${values[name]}, expected a whole number of at least ${least}`);
  return n;
}

const textOf = (file: string): string => (file === 'special' ? SPECIAL : ownText((KERNELS as readonly Kernel[]).find(k => k.name === file)!));

/** The line before and after. */
export function lineOf({ file, start, end, to, line }: Site): { before: string; after: string } {
  const text = textOf(file);
  const before = text.split('\n')[line - 1]!;
  const from = text.lastIndexOf('\n', start - 1) + 1;
  const until = text.indexOf('\n', end);
  return { before: before.trim(), after: (text.slice(from, start) + to + text.slice(end, until < 0 ? undefined : until)).trim().replaceAll('\n', ' ') };
}

const driver = values.driver as Driver;
if (!DRIVERS.includes(driver)) throw new Error(`mutate: --driver is ${driver}, expected ${DRIVERS.join(', ')}`);
const [count, seed, jobs] = [whole('count', 1), whole('seed', 0), whole('jobs', 1)];
const drawn = drawSites(KERNELS, { count, seed, file: values.file });
/** What the log says of a fault: `killed` or `refused`, the check, and the case. */
const earlier = new Map((values.again ? readFileSync(values.again, 'utf8').split('\n') : []).flatMap(line => {
  const found = /^\s*\d+ s {2}\d+\/\d+ {2}(killed|refused) +(.*) {2}\[(.*?)(?:, ([^,]*))?\]$/.exec(line);
  return found ? [[found[2]!, { result: found[1] as 'killed', detail: found[3]!, by: found[4] ?? '' }] as const] : [];
}));
const titleOf = (site: Site): string => { const { before, after } = lineOf(site); return `${site.file}.wgsl:${site.line} ${site.kind}: ${before} => ${after}`; };
const started = performance.now();
const seconds = (): string => ((performance.now() - started) / 1000).toFixed(0).padStart(5);
const judged: Judged[] = drawn.flatMap(site => { const verdict = earlier.get(titleOf(site)); return verdict ? [{ site, verdict }] : []; });
const sites = drawn.filter(site => !earlier.has(titleOf(site)));
if (values.again) console.log(`${judged.length} of ${drawn.length} were killed or refused before`);
const workers = new Workers(environmentFor(driver), jobs, text => console.log(`${seconds()} s  ${text}`));
await workers.run(sites, j => {
  judged.push(j);
  const { site, verdict } = j;
  const said = 'detail' in verdict ? verdict.detail : `${verdict.cases} cases`;
  const line = `${seconds()} s  ${judged.length}/${drawn.length}  ${verdict.result.padEnd(8)} ${titleOf(site)}  [${said}${verdict.result === 'killed' ? `, ${verdict.by}` : ''}]`;
  console.log(line.length > 400 ? `${line.slice(0, 400)}…` : line);
  if (values.log) appendFileSync(values.log, `${line}\n`);
});
const known = JSON.parse(readFileSync(new URL('../../../test/mutation/survivors.json', import.meta.url), 'utf8')) as Survivor[];
const result = summary(judged, known, lineOf, { seed, count, adapter: workers.adapter, file: values.file, broken: [...workers.broken] });
if (values.output) writeFileSync(values.output, `${JSON.stringify(result, null, 1)}\n`);
console.log(listed(result));
process.exit(result.errors.length || result.survivors.some(s => !s.reason) ? 1 : 0);
