// Runs the test files in Node: node dist/test/run.js [part of a file name …]. Prints a line `N passed, N failed`; a file that ran nothing is a failure.
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

declare global {
  var UVU_DEFER: number;
  var UVU_QUEUE: unknown[][];
  var UVU_INDEX: number;
}
globalThis.UVU_DEFER = 1;

const root = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap(e =>
    e.isDirectory() ? testFiles(join(folder, e.name)) : e.name.endsWith('.test.js') ? [join(folder, e.name)] : []);
}

const files = testFiles(root).filter(f => wanted.length === 0 || wanted.some(w => relative(root, f).includes(w)));
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(', ') || '*.test.js'}`);
  process.exit(1);
}
const { exec } = await import('uvu');
const { counts, device } = await import('./harness.ts');
console.log(`adapter: ${(await device()).adapter.notice}`);
const empty: string[] = [];
const start = performance.now();
for (const file of files) {
  const before = counts.passed + counts.failed + counts.skipped;
  globalThis.UVU_QUEUE = [[relative(root, file)]];
  globalThis.UVU_INDEX = 0;
  const began = performance.now();
  try {
    await import(pathToFileURL(file).href);
    await exec();
  } catch (error) {
    counts.failed++;
    counts.failures.push(`${relative(root, file)}: ${(error as Error).stack}`);
  }
  if (counts.passed + counts.failed + counts.skipped === before) empty.push(relative(root, file));
  console.log(`  ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
for (const f of counts.failures) console.error(`FAILED ${f}`);
for (const f of empty) console.error(`FAILED ${f}: ran no test`);
const failed = counts.failed + empty.length;
console.log(`${files.length} files, ${counts.skipped} skipped, ${((performance.now() - start) / 1000).toFixed(0)} s`);
console.log(`${counts.passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
