// What `npm pack` would send: everything that its own files name, and no tests.
import { assert, isNode, suite } from '../harness.ts';

const test = suite('the package');

/** Named by address, but only where the repository is: why. */
const LEFT_OUT: Readonly<Record<string, string>> = { 'test/reference/model_times.py': 'PyTorch beside us; bench says that it did not run' };

test.when(isNode && /\/dist\/test\/app\/[^/]*$/.test(import.meta.url), 'asks npm, which packs dist and no other folder', 'the package holds what its files name, and no tests', async () => {
  const { execFileSync } = await import('node:child_process');
  const { readFileSync } = await import('node:fs');
  const { join, posix } = await import('node:path');
  const { ROOT } = await import('../house/sources.ts');
  const said = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'], { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], shell: process.platform === 'win32' });
  const [{ files }] = JSON.parse(said) as [{ files: { path: string }[] }];
  const packed = new Set(files.map(f => f.path));
  assert.ok(packed.size > 500);
  assert.equal([...packed].filter(p => /^(dist\/)?test\/|\.tsbuildinfo$|^node_modules\//.test(p)), []);
  const { bin, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string>; exports: { '.': Record<string, string> } };
  const missing = [...Object.values(bin), ...Object.values(exports['.'])].map(p => posix.normalize(p)).filter(p => !packed.has(p));
  let found = 0;
  for (const path of [...packed].filter(p => /^dist\/.*\.js$/.test(p))) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    for (const [, imported, address] of text.matchAll(/\b(?:from|import)\s*\(?\s*["'](\.[^"'\n]*)["']|new URL\(["']([^"'\n]+)["'], import\.meta\.url\)/g)) {
      const to = imported ?? address!;
      found++;
      const target = posix.normalize(posix.join(posix.dirname(path), to));
      if (!packed.has(target) && !(target in LEFT_OUT)) missing.push(`${target}, which ${path} names`);
    }
  }
  assert.ok(found > 1000, `${found} names were found`);
  assert.equal(missing, []);
});

test.run();
