// The rules of the house, read from the sources: who imports whom, what is documented, what is generated, what is tested.
import { assert, isNode, suite } from './harness.ts';

const test = suite('house');
const rule = (name: string, fn: () => void | Promise<void>): void => test.when(isNode, 'reads the sources, Node only', name, fn);
const load = () => import('./house/sources.ts');

/** Nothing is broken: the list of breaches is empty. */
const none = (breaches: readonly string[]): void => { if (breaches.length) assert.unreachable(`${breaches.length} breaches:\n    ${breaches.join('\n    ')}`); };

/** Folders that each folder may import, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  engine: [], kernels: ['engine'], weights: [], data: [],
  model: ['kernels', 'engine', 'weights', 'data'],
  tasks: ['model', 'kernels', 'engine', 'weights', 'data'],
  train: ['model', 'kernels', 'engine', 'weights', 'data'],
  app: ['train', 'tasks', 'model', 'kernels', 'engine', 'weights', 'data'],
};

rule('imports go one way: app → train, tasks → model → kernels → engine; weights and data stand alone', async () => {
  const { importsOf, resolve, sources } = await load();
  const breaches: string[] = [];
  for (const source of sources('.ts')) {
    const allowed = MAY_IMPORT[source.folder];
    for (const { to } of importsOf(source)) {
      if (!to.startsWith('.')) continue;
      if (!/\.(ts|json)$/.test(to)) breaches.push(`${source.path} imports ${to} without its ending`);
      const target = resolve(source.path, to);
      const folder = target.includes('/') ? target.split('/')[0]! : '';
      if (folder === 'test' && source.folder !== 'test') breaches.push(`${source.path} imports the test ${target}, which the package leaves out`);
      if (target.endsWith('.ref.ts') && !['test', 'bench'].includes(source.folder) && !source.path.endsWith('.ref.ts')) breaches.push(`${source.path} imports the reference ${target}`);
      if (!allowed || folder === source.folder || allowed.includes(folder) || (source.path === 'app/commands.ts' && folder === 'bench')) continue;
      breaches.push(`${source.path} imports ${target}`);
    }
  }
  none(breaches);
});

rule('modules for pages import nothing of Node and no package that is not a dependency, except dynamically', async () => {
  const { importsOf, sources, textOf } = await load();
  const { dependencies, devDependencies } = JSON.parse(textOf('package.json')) as Record<string, Record<string, string>>;
  const breaches: string[] = [];
  for (const source of sources('.ts')) {
    if (['test', 'bench'].includes(source.folder)) continue;
    for (const { to, dynamic, typeOnly } of importsOf(source)) {
      if (to.startsWith('.')) continue;
      if (to.startsWith('node:')) {
        if (!dynamic && !typeOnly && source.folder !== 'app') breaches.push(`${source.path} imports ${to} statically`);
        continue;
      }
      const name = to.split('/').slice(0, to.startsWith('@') ? 2 : 1).join('/');
      if (!(name in dependencies!) && !((dynamic || typeOnly) && name in devDependencies!)) breaches.push(`${source.path} imports ${to}, which package.json does not have as a dependency`);
    }
  }
  none(breaches);
});

rule('generated files are fresh', async () => {
  const { ROOT, sources } = await load();
  const { spawnSync } = await import('node:child_process');
  const breaches: string[] = [];
  const generators = sources('.mjs').filter(s => /\/(gen|make)[^/]*\.mjs$/.test(s.path));
  assert.ok(generators.length >= 5);
  for (const { path, text } of generators) {
    if (!text.includes('--check')) breaches.push(`${path} has no --check`);
    else {
      const { status, stderr } = spawnSync(process.execPath, [path, '--check'], { cwd: ROOT, encoding: 'utf8' });
      if (status !== 0) breaches.push(`${path} --check: ${stderr.trim()}`);
    }
  }
  none(breaches);
});

rule('every exported function, class and public method has a docstring', async () => {
  const { exportsOf, sources } = await load();
  const breaches: string[] = [];
  for (const source of sources('.ts')) {
    if (!['engine', 'kernels', 'weights', 'model', 'tasks', 'train', 'data'].includes(source.folder)) continue;
    for (const { name, line, doc } of exportsOf(source)) if (!doc.startsWith('/**')) breaches.push(`${source.path}:${line} ${name}`);
  }
  none(breaches);
});

/** Names of the functions that kernels/index.ts exports, with the file of each. */
async function publicOps(): Promise<Map<string, string>> {
  const { exportsOf, reexports, resolve, sources } = await load();
  const all = sources('.ts');
  const of = (path: string) => all.find(s => s.path === path)!;
  const index = of('kernels/index.ts');
  const found = new Map<string, string>();
  for (const [name, to] of reexports(index)) {
    const path = resolve(index.path, to);
    const alias = new RegExp(`export \\{ (\\w+) as ${name} \\}`).exec(of(path).text)?.[1] ?? name;
    if (exportsOf(of(path)).some(e => e.name === alias && e.kind === 'function')) found.set(name, path);
  }
  return found;
}

rule('the docstring of every op says what goes in and out, with shapes', async () => {
  const { exportsOf, sources } = await load();
  const all = sources('.ts');
  const breaches: string[] = [];
  for (const [name, path] of await publicOps()) {
    if (name === 'resizeCropNormalize') continue; // another name of preprocess
    const doc = exportsOf(all.find(s => s.path === path)!).find(e => e.name === name)?.doc ?? '';
    if (!/@param/.test(doc)) breaches.push(`${path} ${name}: no @param`);
    if (!/@returns[^@]*(\[[^\]]*\]|nothing|shape)/.test(doc)) breaches.push(`${path} ${name}: no @returns with a shape`);
    if (!/@param[^@]*\[[^\]]*\]/.test(doc) && !['preprocess', 'adamwStep', 'ropeTable1d', 'ropeTable3d', 'full', 'concat'].includes(name)) breaches.push(`${path} ${name}: no @param with a shape`);
  }
  none(breaches);
});

rule('no shader text inside TypeScript', async () => {
  const { sources } = await load();
  none(sources('.ts').filter(s => s.folder !== 'test' && /@compute\b|@group\(|@workgroup_size/.test(s.text)).map(s => s.path));
});

/** Shader files whose wrapper has another name. */
const OWNERS: Readonly<Record<string, string>> = {
  attention_lanes4: 'attention', attention_lanes8: 'attention', attention_rows: 'attention', attention_tiled32: 'attention', attention_tiled64: 'attention', attention_tile: 'attention_backward', attention_scalar: 'attention',
  gated_linear_lanes4: 'gated_linear', gated_linear_lanes8: 'gated_linear', gated_linear_single: 'gated_linear', matmul_lanes4: 'matmul', matmul_lanes8: 'matmul', matmul_single: 'matmul', split_sum: 'matmul', matmul_tiled128: 'matmul_table', matmul_tiled128_k8: 'matmul_table', matmul_tiled64: 'matmul_table', matmul_tiled32: 'matmul_table', matmul_subgroup: 'matmul', rope_adjacent: 'rope',
  layer_norm_group: 'layer_norm', rms_norm_group: 'rms_norm', softmax_group: 'softmax', l2_normalize_group: 'l2_normalize',
};
/** Functions for other shaders: no op, so no wrapper. */
const FUNCTIONS: readonly string[] = ['special', 'storage'];
/** Families without a file of their own for the formula or the test, and why. */
const NO_REF: Readonly<Record<string, string>> = { matmul_table: 'matmul.ref.ts has the formula', attention_backward: 'attention.ref.ts has the formula', storage: 'weights/dtype.ts has the conversions', fill: 'one value everywhere needs no formula', column_sum: 'sum.ref.ts has the formula' };
const TEST_ELSEWHERE: Readonly<Record<string, string>> = { fill: 'lerp', column_sum: 'sum', attention_backward: 'attention', cast: 'storage', quantize: 'storage', matmul_table: 'matmul' };

rule('one op, one basename: each shader has its wrapper, formula and test', async () => {
  const { sources } = await load();
  const all = sources('.ts', '.wgsl');
  const has = (path: string): boolean => all.some(s => s.path === path);
  const breaches: string[] = [];
  const shaders = all.filter(s => s.path.endsWith('.wgsl') && s.folder !== 'bench'); // what measures an adapter is no op
  assert.ok(shaders.length > 0 && shaders.every(s => s.folder === 'kernels'));
  for (const { path } of shaders) {
    const name = path.slice('kernels/'.length, -'.wgsl'.length);
    const family = OWNERS[name] ?? name;
    const wrapper = all.find(s => s.path === `kernels/${family}.ts`);
    if (FUNCTIONS.includes(name)) assert.not.ok(/@compute/.test(all.find(s => s.path === path)!.text));
    else if (!wrapper) breaches.push(`${path}: no kernels/${family}.ts`);
    else if (!new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\} from './wgsl\\.gen\\.ts'`).test(wrapper.text)) breaches.push(`kernels/${family}.ts does not import ${name}`);
    if (!(family in NO_REF) && !has(`kernels/${family}.ref.ts`)) breaches.push(`${path}: no kernels/${family}.ref.ts`);
    if (!has(`test/kernels/${TEST_ELSEWHERE[family] ?? family}.test.ts`)) breaches.push(`${path}: no test`);
  }
  for (const name of [...Object.keys(OWNERS), ...Object.keys(NO_REF)]) if (!has(`kernels/${name}.wgsl`) && !Object.values(OWNERS).includes(name)) breaches.push(`the exception ${name} has no shader any more`);
  none(breaches);
});

rule('every op is in the cases that all engine tests run; its gradient is in the table of proofs', async () => {
  const { sources } = await load();
  const cases = sources('.ts').find(s => s.path === 'test/op_cases.ts')!.text;
  const ops = [...(await publicOps()).keys()];
  assert.ok(ops.length > 30);
  none(ops.filter(op => !['backward', 'resizeCropNormalize', 'ropeTable3d'].includes(op) && !new RegExp(`\\bops\\.${op}\\b`).test(cases)).map(op => `${op}: not in test/op_cases.ts`));
});

/** Unrolled by a generator, which is what people read; the freshness test keeps them equal. */
const GENERATED = /^\/\/ .*kernels\/gen_\w+\.mjs/m;

rule('files have at most 350 lines, functions at most 70', async () => {
  const { longFunctions, sources } = await load();
  const files = sources('.ts', '.mjs', '.wgsl');
  const long = files.filter(s => !(s.path.endsWith('.wgsl') && GENERATED.test(s.text)) && s.text.trimEnd().split('\n').length > 350).map(s => `${s.path} has ${s.text.trimEnd().split('\n').length} lines`);
  none([...long, ...files.filter(s => s.path.endsWith('.ts') && s.folder !== 'test').flatMap(s => longFunctions(s, 70))]);
});

rule('names say what is in a file; no unfinished work', async () => {
  const { escapesTypes, sources } = await load();
  const files = sources('.ts', '.mjs', '.wgsl');
  const vague = files.filter(s => /(^|[/_])(utils?|helpers?|common|manager|misc|base)[._]/.test(s.path)).map(s => `${s.path}: the name says nothing`);
  const cased = files.filter(s => !/^[a-z0-9_/.]+$/.test(s.path)).map(s => `${s.path}: file names are snake_case`);
  const unfinished = files.filter(s => s.path !== 'test/house.test.ts' && /\b(TODO|FIXME|XXX|HACK)\b|\btest\.(skip|only)\b/.test(s.text)).map(s => `${s.path} is unfinished`);
  const directed = files.filter(s => s.path.endsWith('.ts') && escapesTypes(s)).map(s => `${s.path} switches the type checker off`);
  none([...vague, ...cased, ...unfinished, ...directed]);
});

rule('the readers of the sources see what the rules forbid', async () => {
  const { escapesTypes, exportsOf, identifiersOfCallers, importsOf, longFunctions, reexports } = await load();
  const of = (text: string) => ({ path: 'kernels/x.ts', folder: 'kernels', text });
  assert.equal(importsOf(of("import a from './a.ts';\nimport type { B } from './b.ts';\nexport * from './c.ts';\nconst d = await import('node:d');\nlet e: import('./e.ts').E;")).map(i => [i.to, i.dynamic, i.typeOnly]), [
    ['./a.ts', false, false], ['./b.ts', false, true], ['./c.ts', false, false], ['node:d', true, false], ['./e.ts', true, true],
  ]);
  const bare = exportsOf(of('export const f = () => 1;\nexport function g() {}\n/** said */\nexport class C { m() {} private p() {} get q() { return 1; } }\nconst hidden = () => 1;'));
  assert.equal(bare.map(e => [e.name, e.doc]), [['f', ''], ['g', ''], ['C', '/** said */'], ['C.m', ''], ['C.q', '']]);
  assert.is(longFunctions(of(`function f() {${'\n'.repeat(70)}}`), 70).length, 1);
  assert.is(longFunctions(of(`function f() {${'\n'.repeat(69)}}`), 70).length, 0);
  assert.equal([of('let x: any;'), of('// @ts-ignore\nlet x = 1;'), of('/* any: any adapter */ let x: unknown;')].map(escapesTypes), [true, true, false]);
  assert.equal([...reexports(of("export { a } from './a.ts';\nexport type { B } from './b.ts';"))], [['a', './a.ts']]);
  assert.equal([identifiersOfCallers(of('check(op)'), /^check$/).has('op'), identifiersOfCallers(of('other(op)'), /^check$/).has('op')], [true, false]);
});

rule('versions are exact, and the lock file names no registry', async () => {
  const { textOf } = await load();
  const { dependencies, devDependencies } = JSON.parse(textOf('package.json')) as Record<string, Record<string, string>>;
  none(Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)).map(([name, version]) => `${name} ${version}`));
  const lock = textOf('package-lock.json');
  assert.not.ok(lock.includes('"resolved"'), 'package-lock.json has "resolved" entries');
  assert.not.ok(/registry/i.test(lock), 'package-lock.json names a registry');
});

rule('the declarations ask nobody for a package of types', async () => {
  const { COMPILED } = await load();
  const { readFileSync, readdirSync } = await import('node:fs');
  const { join } = await import('node:path');
  const breaches: string[] = [];
  for (const folder of ['engine', 'kernels', 'weights', 'model', 'tasks', 'train', 'data']) {
    for (const name of readdirSync(join(COMPILED, folder)).filter(n => n.endsWith('.d.ts'))) {
      if (/\/\/\/ <reference types=|from ['"]@webgpu\/types|import\(['"]@webgpu/.test(readFileSync(join(COMPILED, folder, name), 'utf8'))) breaches.push(`${folder}/${name}`);
    }
  }
  none(breaches);
});

test.run();
