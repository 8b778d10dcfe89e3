// The README and CONTRIBUTING say what is there: commands, packages, exports, and an example that runs.
import { assert, isNode, suite } from '../harness.ts';
import { inFolder } from '../folder.ts';
import { WHY, tinyCheckpoint, writePng } from './process.ts';

const test = suite('documents');

/** Compiled tests lie in <root>/<outDir>/test/app. */
const read = async (name: string): Promise<string> => (await import('node:fs/promises')).readFile(new URL(`../../../${name}`, import.meta.url), 'utf8');

const block = (text: string, language: string): string => new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(text)![1]!;

test.when(isNode, WHY, 'the README names every command, every debug level and packages that exist', async () => {
  const readme = await read('README.md');
  const { COMMANDS } = await import('../../app/commands.ts');
  const rows = [...new Set([...readme.matchAll(/^\| `([a-z]+)[^|]*\|/gm)].map(m => m[1]!).filter(word => word in COMMANDS))]; // bench has several
  assert.equal(rows.sort(), Object.keys(COMMANDS).sort());
  for (const level of [0, 1, 2, 3, 4]) assert.match(readme, new RegExp(`^\\| ${level} \\| `, 'm'));
  const { scripts, dependencies, devDependencies } = JSON.parse(await read('package.json')) as Record<string, Record<string, string>>;
  for (const name of ['sharp', '@sparticuz/chromium', 'playwright-core', 'uplot', 'webgpu', '@huggingface/tokenizers']) assert.ok(readme.includes(`\`${name}\``) && name in { ...dependencies, ...devDependencies }, name);
  assert.equal(block(readme, 'sh'), 'npm ci && npm start\nnpm ci && npm test\n');
  for (const name of ['start', 'test', 'build', 'check']) assert.ok(name in scripts!, name);
  assert.ok((await read('.ci/run')).includes('\ncount npm test\n'));
});

test.when(isNode, WHY, 'the README\'s example for Node runs, and its page imports what is exported', () => inFolder(async folder => {
  const { writeFile } = await import('node:fs/promises');
  const { spawnSync } = await import('node:child_process');
  const readme = await read('README.md');
  await tinyCheckpoint(`${folder}/checkpoints/nano`);
  await writePng(`${folder}/cat.png`, 60, 40);
  const entry = new URL('../../index.js', import.meta.url).href;
  await writeFile(`${folder}/example.mjs`, `${block(readme, 'js').replace("'vl-jepa'", JSON.stringify(entry))}process.exit(0);\n`);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' });
  assert.is(status, 0, stderr);
  assert.match(stdout, /label: '(cat|dog|red apple)'/);
  assert.match(stdout, /Float32Array\(16\)/);
  const exported = (await import('../../index.ts')) as Record<string, unknown>;
  const names = /import \{ (.*?) \} from '\/dist\/index\.js'/.exec(block(readme, 'html'))![1]!.split(', ');
  for (const name of names) assert.ok(name in exported, name);
}));

test.when(isNode, WHY, 'CONTRIBUTING lists every function of the harness', async () => {
  const text = await read('CONTRIBUTING.md');
  const harness = await read('test/harness.ts');
  const names = [...harness.matchAll(/^export (?:async )?(?:function|const) (\w+)/gm)].map(m => m[1]!);
  assert.ok(names.length > 8);
  for (const name of names) assert.ok(text.includes(`\`${name}\``), name);
});

test.run();
