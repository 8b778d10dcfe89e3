// Runs the test files: node dist/test/run.js [--node | --browser] [part of a file name …]. Both places without a flag.
// Prints a line `N passed, N failed`; a file that ran nothing is a failure. In Node, files go to one process after the other, a few each: a driver that keeps something of
// every bind group it ever made (lavapipe does, and dies near 70,000 of them) starts afresh, and one that dies takes only its own files along.
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

/** Runs files in a process of their own. A process that ends without a result counts as one failure. */
function inProcess(names: readonly string[]): Promise<Outcome | undefined> {
  return new Promise(resolve => {
    let outcome: Outcome | undefined;
    const child = fork(fileURLToPath(import.meta.url), ['--part', ...names], { stdio: 'inherit' });
    child.on('message', message => { outcome = message as Outcome; });
    child.on('exit', (code, signal) => {
      if (!outcome) console.error(`test: the process of ${names.join(', ')} ended with ${signal ?? `code ${code}`} and without a result`);
      resolve(outcome);
    });
  });
}

/** All files in Node, part by part. */
async function inParts(names: readonly string[]): Promise<Outcome> {
  if (names.length <= PART) return inNode(names); // in this process, where planted faults and debuggers see them
  const all: Outcome = { passed: 0, failed: 0, skipped: 0, failures: [], adapter: '', profile: '', fingerprints: {} };
  for (let i = 0; i < names.length; i += PART) {
    const part = names.slice(i, i + PART);
    const done = await inProcess(part);
    if (!done) {
      all.failed++;
      all.failures.push(`the process of ${part.join(', ')} died`);
      continue;
    }
    for (const key of ['passed', 'failed', 'skipped'] as const) all[key] += done[key];
    all.failures.push(...done.failures);
    Object.assign(all.fingerprints, done.fingerprints);
    Object.assign(all, { adapter: done.adapter, profile: done.profile });
  }
  return all;
}

const outcomes: [string, Outcome][] = [];
const start = performance.now();
if (!flags.includes('--browser')) {
  outcomes.push(['Node', await inParts(files)]);
}
if (!flags.includes('--node')) {
  const { runInChromium } = await import('./chromium.ts');
  outcomes.push(['Chromium', await runInChromium(files, console.log)]);
}
const [node, chromium] = outcomes.map(([, o]) => o);
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
