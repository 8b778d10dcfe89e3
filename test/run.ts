// Runs the test files: node dist/test/run.js [--node | --browser] [part of a file name …]. Both places without a flag.
// Prints a line `N passed, N failed`; a file that ran nothing is a failure. Two things run at a time: processes with a few files each, and first of all the page,
// if it is asked for. All files in one process would be more than lavapipe takes: it maps memory for every bind group, and for up to 512 that Dawn makes ahead per layout; a process has
// 65,530 mappings, and a group gives its own back only once JavaScript has collected it.
import { fork } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Outcome } from './runner.ts';

const root = dirname(fileURLToPath(import.meta.url));
const flags = process.argv.slice(2).filter(a => a.startsWith('--'));
const wanted = process.argv.slice(2).filter(a => !a.startsWith('--'));
const unknown = flags.find(f => f !== '--node' && f !== '--browser' && f !== '--part');
if (unknown) {
  console.error(`test: ${unknown} is unknown, expected --node or --browser`);
  process.exit(1);
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap(e =>
    e.isDirectory() ? testFiles(join(folder, e.name)) : e.name.endsWith('.test.js') ? [relative(root, join(folder, e.name))] : []);
}

const inNode = (names: readonly string[]): Promise<Outcome> =>
  import('./runner.ts').then(({ runFiles }) => runFiles(names.map(name => ({ name, load: () => import(pathToFileURL(join(root, name)).href) })), console.log));

if (flags.includes('--part')) { // the files of one process, by their whole names
  process.send!(await inNode(wanted));
  process.disconnect();
  process.exit(0);
}

const files = testFiles(root).filter(f => wanted.length === 0 || wanted.some(w => f.includes(w)));
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(', ') || '*.test.js'}`);
  process.exit(1);
}

/** Files per process. */
const PART = 12;
/** Things that run at a time. */
const LANES = 2;
/** Files that take longest: they begin first, each in a process of its own. */
const LONG = ['app/train', 'proofs/ops', 'app/commands', 'app/compare', 'app/tasks', 'data/tokenizer_parity', 'engine/poison', 'kernels/matmul_tiled', 'model/weight_stream', 'app/checkpoint', 'train/step_plans', 'train/memory', 'app/web'].map(f => `${f}.test.js`);

/** Runs files in a process of their own and then prints what it said. A process that ends without a result counts as one failure. */
function inProcess(names: readonly string[]): Promise<Outcome> {
  return new Promise(resolve => {
    let outcome: Outcome = { passed: 0, failed: 1, skipped: 0, failures: [`the process of ${names.join(', ')} died`], adapter: '', profile: '', fingerprints: {} };
    const said: Buffer[] = [];
    const child = fork(fileURLToPath(import.meta.url), ['--part', ...names], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: Buffer) => { said.push(text); });
    child.on('message', message => { outcome = message as Outcome; });
    child.on('close', (code, signal) => {
      process.stdout.write(Buffer.concat(said));
      if (!outcome.adapter) console.error(`test: the process of ${names.join(', ')} ended with ${signal ?? `code ${code}`} and without a result`);
      resolve(outcome);
    });
  });
}

/** The files of each process, those that take longest first. */
function partsOf(names: readonly string[]): string[][] {
  const [long, short] = [names.filter(n => LONG.includes(n)).sort((a, b) => LONG.indexOf(a) - LONG.indexOf(b)), names.filter(n => !LONG.includes(n))];
  return [...long.map(n => [n]), ...Array.from({ length: Math.ceil(short.length / PART) }, (_, i) => short.slice(i * PART, (i + 1) * PART))];
}

/** Adds up what the processes counted. */
function total(parts: readonly Outcome[]): Outcome {
  const all: Outcome = { passed: 0, failed: 0, skipped: 0, failures: [], adapter: '', profile: '', fingerprints: {} };
  for (const part of parts) {
    for (const key of ['passed', 'failed', 'skipped'] as const) all[key] += part[key];
    all.failures.push(...part.failures);
    Object.assign(all.fingerprints, part.fingerprints);
    if (part.adapter) Object.assign(all, { adapter: part.adapter, profile: part.profile });
  }
  return all;
}

const start = performance.now();
const places = { Node: !flags.includes('--browser'), Chromium: !flags.includes('--node') };
const outcomes: [string, Outcome][] = [];
if (!places.Chromium && files.length <= PART) outcomes.push(['Node', await inNode(files)]); // in this process, where planted faults and debuggers see them
else {
  const done: Outcome[] = [];
  const jobs: (() => Promise<unknown>)[] = places.Node ? partsOf(files).map(part => async () => { done.push(await inProcess(part)); }) : [];
  if (places.Chromium) jobs.unshift(async () => { outcomes.push(['Chromium', await (await import('./chromium.ts')).runInChromium(files, console.log)]); });
  await Promise.all(Array.from({ length: LANES }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  }));
  if (places.Node) outcomes.unshift(['Node', total(done)]);
}
const [node, chromium] = (['Node', 'Chromium'] as const).map(place => outcomes.find(([name]) => name === place)?.[1]);
if (node && chromium) {
  const names = Object.keys(node.fingerprints).filter(n => n in chromium.fingerprints);
  const other = names.filter(n => node.fingerprints[n] !== chromium.fingerprints[n]);
  if (node.profile !== chromium.profile) console.log(`Node on ${node.profile} and Chromium on ${chromium.profile}: bits are not compared`);
  else {
    console.log(`Node and Chromium, both on ${node.profile}: ${names.length - other.length} of ${names.length} results equal to the bit`);
    if (names.length) node.passed += names.length - other.length;
    for (const n of other) node.failures.push(`${n}: bits differ between Node and Chromium`);
    node.failed += other.length;
  }
}
for (const [place, { failures }] of outcomes) for (const f of failures) console.error(`FAILED in ${place}: ${f}`);
for (const [place, o] of outcomes) console.log(`${place}: ${o.passed} passed, ${o.failed} failed, ${o.skipped} skipped on ${o.adapter}`);
const sum = (key: 'passed' | 'failed'): number => outcomes.reduce((n, [, o]) => n + o[key], 0);
console.log(`${files.length} files, ${((performance.now() - start) / 1000).toFixed(0)} s`);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exit(sum('failed') ? 1 : 0);
