// The second line: what the proofs let live meets the test files of its kernel, test/kernels/*.test.ts, in a process of its own.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SPECIAL } from '../../kernels/wgsl.gen.ts';
import type { Site } from './sites.ts';

/** Test files of shaders whose wrapper has another name. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  cast: ['storage'], quantize: ['storage'], special: ['special'], column_sum: ['sum', 'linear'], split_sum: ['matmul', 'linear'],
  attention: ['attention'], attention_lanes4: ['attention'], attention_lanes8: ['attention'], attention_scalar: ['attention'], attention_rows: ['attention'], attention_tile: ['attention'],
  attention_tiled32: ['attention_tiled'], attention_tiled64: ['attention_tiled'],
  matmul_tiled32: ['matmul_tiled'], matmul_tiled64: ['matmul_tiled'], matmul_tiled128: ['matmul_tiled'], matmul_tiled128_k8: ['matmul_tiled'],
  gated_linear_lanes4: ['gated_linear'], gated_linear_lanes8: ['gated_linear'], gated_linear_single: ['gated_linear'],
  matmul_lanes4: ['matmul', 'linear'], matmul_lanes8: ['matmul', 'linear'], matmul_single: ['matmul', 'linear'], rope_adjacent: ['rope'],
};

const LIMIT_MS = 240_000;

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

function run(files: readonly string[], site: Site | undefined, env: NodeJS.ProcessEnv): Promise<{ code: number | string; said: string }> {
  return new Promise(done => {
    const args = ['--import', new URL('./plant.js', import.meta.url).href, at('../run.js'), '--node', ...files.map(f => `kernels/${f}.test`)];
    const fault = site && { MUTATION: JSON.stringify(site), ...(site.file === 'special' && { MUTATED_SPECIAL: SPECIAL.slice(0, site.start) + site.to + SPECIAL.slice(site.end) }) };
    const child = spawn(process.execPath, args, { env: { ...env, ...fault }, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (d: Buffer) => { said = (said + d.toString()).slice(-20_000); });
    const clock = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    child.on('exit', (code, signal) => {
      clearTimeout(clock);
      done({ code: signal ?? code ?? 'nothing', said });
    });
  });
}

const good = new Map<string, Promise<boolean>>();

/**
 * Runs the test files of a fault's kernel with the fault planted. @param site fault @param env environment of the driver
 * @returns the first failure, or undefined when they pass, or when they fail without the fault too
 */
export async function failureOf(site: Site, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const files = (TESTS[site.file] ?? [site.file]).filter(f => existsSync(at(`../kernels/${f}.test.js`)));
  if (!files.length) return undefined;
  const { code, said } = await run(files, site, env);
  if (code === 0) return undefined;
  const key = files.join();
  if (!good.has(key)) good.set(key, run(files, undefined, env).then(r => r.code === 0));
  if (!(await good.get(key)!)) return undefined;
  return typeof code === 'string' ? `hang: the tests ended with ${code}` : `test/kernels: ${/FAILED in Node: (.*)/.exec(said)?.[1] ?? `exit code ${code}`}`.slice(0, 240);
}
