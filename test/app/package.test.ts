// What `npm pack` would send: everything that its own files name, and no tests.
import { inFolder } from '../folder.ts';
import { assert, isNode, suite } from '../harness.ts';
import { WHY, tinyCheckpoint } from './process.ts';

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

test.when(isNode && /\/dist\/test\/app\/[^/]*$/.test(import.meta.url), 'compiles against dist, which npm sends, and no other folder', 'its types check in a project that has its dependencies alone, without skipLibCheck', () => inFolder(async folder => {
  const { execFile } = await import('node:child_process');
  const { mkdir, readFile, symlink, writeFile } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const { ROOT } = await import('../house/sources.ts');
  const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  for (const [name, from] of [['vl-jepa', ROOT] as const, ...Object.keys(dependencies).map(d => [d, join(ROOT, 'node_modules', d)] as const)]) {
    const link = join(folder, 'node_modules', name);
    await mkdir(join(link, '..'), { recursive: true });
    await symlink(from, link, 'junction');
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { target: 'ES2022', module: 'NodeNext', lib: ['ES2022', 'DOM', 'DOM.Iterable'], types: [], strict: true, skipLibCheck: false, noEmit: true, preserveSymlinks: true }, files: ['use.ts'] }));
  const check = (source: string): Promise<string> => new Promise(done => {
    void writeFile(join(folder, 'use.ts'), source).then(() => execFile(process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', folder], { cwd: folder }, (_, stdout) => done(stdout)));
  });
  const use = (names: string): string => `import { VLJEPA, classify, decodePicture, labelBank } from 'vl-jepa';\nconst model = await VLJEPA.fromPretrained('x');\nconst [answers] = await classify(model, [await decodePicture('x.png')], labelBank(model, ${names}));\nexport const best: string = answers![0]!.label;\n`;
  assert.is(await check(use("['cat']")), '');
  assert.match(await check(use('7')), /^use\.ts\(3,\d+\): error TS2345: /);
}));

test.when(isNode, WHY, 'where only the package is installed, demo names the pictures that it holds; without sharp it says what to install', () => inFolder(async folder => {
  const { execFile } = await import('node:child_process');
  const { cp, mkdir, readFile, readdir, symlink } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const { fileURLToPath } = await import('node:url');
  const { ROOT } = await import('../house/sources.ts');
  const built = fileURLToPath(new URL('../../', import.meta.url)); // dist
  const home = join(folder, 'node_modules', 'vl-jepa');
  await cp(built, join(home, 'dist'), { recursive: true, filter: path => path !== join(built, 'test') });
  await cp(join(ROOT, 'app', 'web', 'samples'), join(home, 'app', 'web', 'samples'), { recursive: true });
  await mkdir(join(home, 'data'));
  for (const name of await readdir(join(ROOT, 'data'))) if (name.endsWith('.json')) await cp(join(ROOT, 'data', name), join(home, 'data', name));
  await cp(join(ROOT, 'package.json'), join(home, 'package.json'));
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
  const link = async (name: string): Promise<void> => {
    await mkdir(join(folder, 'node_modules', name, '..'), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), 'junction');
  };
  for (const name of [...Object.keys(dependencies!), '@sparticuz/chromium']) await link(name); // the last one is the driver of a machine without a GPU
  await tinyCheckpoint(join(folder, 'model'));
  const demo = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => new Promise(done => {
    execFile(process.execPath, [join(home, 'dist', 'app', 'cli.js'), 'demo', ...args, '--model', join(folder, 'model'), '--out', join(folder, 'out')], { cwd: folder }, (error, stdout, stderr) => done({ code: Number(error?.code ?? 0), stdout, stderr }));
  });
  const [sharp, drawings] = [`sharp@${devDependencies!['sharp']}`, `@iconify-json/fluent-emoji-flat@${devDependencies!['@iconify-json/fluent-emoji-flat']}`];
  const bare = await demo();
  assert.is(bare.code, 1);
  assert.is(bare.stderr, `error: demo: pictures cannot be decoded, expected the npm package sharp, and @iconify-json/fluent-emoji-flat for the unseen artist's drawings (run: npm install ${sharp} ${drawings}; \`vl-jepa demo FILE\` needs sharp alone, \`vl-jepa web\` in their place mediabunny)\n`);
  await link('sharp');
  const samples = await demo('--json');
  assert.is(samples.code, 0, samples.stderr);
  const said = JSON.parse(samples.stdout) as { classify: { file: string; truth: string | null; top5: unknown[] }[]; retrieval: unknown };
  assert.equal(said.classify.map(a => `${a.file} ${a.truth} ${a.top5.length}`), ['cat_face', 'guitar', 'mushroom', 'red_apple', 'rocket', 'sailboat', 'sun', 'tropical_fish'].map(n => `${n}.svg ${n.replace('_', ' ')} 5`));
  assert.is(said.retrieval, null);
  const own = await demo(join(home, 'app', 'web', 'samples', 'sun.svg'));
  assert.is(own.code, 0, own.stderr);
  assert.match(own.stdout, new RegExp(`drawings    @iconify-json/fluent-emoji-flat is not installed, so your pictures are named, and nothing is retrieved or measured \\(run: npm install ${drawings}\\)\n`));
  assert.match(own.stdout, /sun\.svg +\S[^]*report /);
  assert.match(await readFile(join(folder, 'out', 'report.html'), 'utf8'), /need the artist's drawings, npm package <code>@iconify-json\/fluent-emoji-flat<\/code>, which was not installed/);
}));

test.run();
