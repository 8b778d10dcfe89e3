// npm run test:kernels [-- --bail] [--adapter NAME]: the kernel proofs alone, fast profile, on the best software driver there is. Exit code 1 on any failure, also when
// the driver dies or hangs. The tests run in a child process; this one watches it.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DRIVERS, environmentFor } from './drivers.ts';
import type { Driver } from './drivers.ts';

/** A child that prints nothing for so long hangs: every test prints a dot. */
const SILENCE_MS = 90_000;
const LONGEST_MS = 900_000;
const POLL_MS = 100;

const TESTS = dirname(dirname(fileURLToPath(import.meta.url)));

const inFolder = (folder: string): string[] => readdirSync(join(TESTS, folder)).filter(n => n.endsWith('.test.js')).sort().map(n => relative(TESTS, join(TESTS, folder, n)));

/** The files, the strongest first. */
const files = (): string[] => {
  const proofs = inFolder('proofs');
  const first = proofs.filter(f => /ops\.test/.test(f));
  return [...first, ...proofs.filter(f => !first.includes(f)), ...inFolder('kernels'), 'wgsl.test.js'];
};

/** Runs the files in this process. */
async function inside(bail: boolean): Promise<number> {
  const { runFiles } = await import('../runner.ts');
  const { counts } = await import('../harness.ts');
  const watch = setInterval(() => {
    if (!bail || counts.failed === 0) return;
    console.log(`FAILED ${counts.failures[0]}`);
    process.exit(1);
  }, POLL_MS);
  const outcome = await runFiles(files().map(name => ({ name, load: () => import(pathToFileURL(join(TESTS, name)).href) })), console.log);
  clearInterval(watch);
  for (const failure of outcome.failures) console.log(`FAILED ${failure}`);
  console.log(`${outcome.passed} passed, ${outcome.failed} failed, ${outcome.skipped} skipped on ${outcome.adapter}`);
  return outcome.failed || !outcome.passed ? 1 : 0;
}

/** Runs this file again as a child and watches it. */
function watched(driver: Driver, bail: boolean): Promise<number> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--inside', ...(bail ? ['--bail'] : [])], { env: environmentFor(driver), stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise(done => {
    let timer: ReturnType<typeof setTimeout>;
    const kill = (reason: string): void => {
      console.log(`FAILED: ${reason}`);
      child.kill('SIGKILL');
    };
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => kill(`no output in ${SILENCE_MS / 1000} s, the driver hangs`), SILENCE_MS);
    };
    const whole = setTimeout(() => kill(`not done after ${LONGEST_MS / 1000} s`), LONGEST_MS);
    heard();
    child.stdout.on('data', (text: Buffer) => {
      process.stdout.write(text);
      heard();
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(whole);
      if (signal) console.log(`FAILED: the process with the driver ended by ${signal}`);
      done(code === 0 ? 0 : 1);
    });
  });
}

const { values } = parseArgs({ options: { bail: { type: 'boolean' }, inside: { type: 'boolean' }, adapter: { type: 'string', default: 'best' } }, strict: true });
if (!DRIVERS.includes(values.adapter as Driver)) {
  console.error(`test:kernels: --adapter is ${values.adapter}, expected one of ${DRIVERS.join(', ')}`);
  process.exit(1);
}
const began = performance.now();
const code = values.inside ? await inside(values.bail === true) : await watched(values.adapter as Driver, values.bail === true);
if (!values.inside) console.log(`test:kernels: ${code ? 'FAILED' : 'passed'} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
process.exit(code);
