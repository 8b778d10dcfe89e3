// Sharded checkpoints: what an index may say, what it must not, and that nothing outside the folder is ever opened.

import { safetensorsBytes } from '../../weights/encode.ts';
import { WeightError } from '../../weights/error.ts';
import { checkFileName, folderSource, type FolderSource } from '../../weights/folder.ts';
import { isShardName, SHARD_LIMIT } from '../../weights/index_file.ts';
import { openCheckpoint } from '../../weights/safetensors.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('weights: checkpoint');
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const shard = (values: Record<string, number>, metadata = {}): Uint8Array => safetensorsBytes(Object.entries(values).map(([name, v]) => ({ name, dtype: 'U8' as const, shape: [1], bytes: Uint8Array.of(v) })), metadata);
const INDEX = 'model.safetensors.index.json';
const ONE = 'model-00001-of-00002.safetensors';
const TWO = 'model-00002-of-00002.safetensors';

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(() => 'accepted', (error: unknown) => { if (error instanceof WeightError) return error.code; throw error; });
}

const withIndex = (index: string, files: Record<string, Uint8Array> = { [ONE]: shard({ a: 1, b: 2 }), [TWO]: shard({ c: 3 }) }): Map<string, Uint8Array> => new Map([[INDEX, utf8(index)], ...Object.entries(files)]);
const mapOf = (map: Record<string, string>, metadata = '{"total_size":3}'): string => `{"metadata":${metadata},"weight_map":${JSON.stringify(map)}}`;
const GOOD = { a: ONE, b: ONE, c: TWO };

test('two shards read as one checkpoint', async () => {
  const st = await openCheckpoint(withIndex(mapOf(GOOD), { [ONE]: shard({ a: 1, b: 2 }, { format: 'pt', part: '1' }), [TWO]: shard({ c: 3 }, { format: 'pt', part: '2' }) }));
  assert.equal(st.names(), ['a', 'b', 'c']);
  assert.equal([...await st.getTensor('b'), ...await st.getTensor('c')], [2, 3]);
  assert.is(st.info('c').file, TWO);
  assert.equal([...st.metadata], [['format', 'pt'], ['part', '1']]);
  assert.is(st.warnings.length, 1, 'the differing metadata is told');
});

test('a folder with one file, a subfolder, one file alone; two checkpoints in one folder are refused where it can be listed', async () => {
  const single = shard({ x: 7 });
  assert.equal((await openCheckpoint({ 'model.safetensors': single })).names(), ['x']);
  assert.equal((await openCheckpoint(folderSource({ '2_Dense/model.safetensors': single }).sub('2_Dense'))).names(), ['x']);
  assert.equal((await openCheckpoint(single)).names(), ['x']);
  assert.equal((await openCheckpoint(new Blob([single as Uint8Array<ArrayBuffer>]))).names(), ['x']);
  const both = withIndex(mapOf(GOOD));
  both.set('model.safetensors', single);
  assert.is(await codeOf(openCheckpoint(both)), 'index-shard-missing');
  const listed = folderSource(both);
  const unlisted: FolderSource = { name: 'unlisted', open: (n) => listed.open(n), readText: (n) => listed.readText(n), sub: (n) => listed.sub(n) };
  assert.equal((await openCheckpoint(unlisted)).names(), ['x']); // as behind a URL: one request, the single file
  const own = new Map([[INDEX, utf8(mapOf({ x: 'model.safetensors' }))], ['model.safetensors', single]]);
  assert.equal((await openCheckpoint(own)).names(), ['x']);
  const good = withIndex(mapOf(GOOD));
  good.set('model-00003-of-00002.safetensors', single);
  assert.is(await codeOf(openCheckpoint(good)), 'index-tensor-extra');
  good.delete('model-00003-of-00002.safetensors');
  good.set('model-00001-of-00009.safetensors', single); // of another series
  assert.is((await openCheckpoint(good)).tensors.size, 3);
  assert.is(await codeOf(openCheckpoint({})), 'checkpoint-missing');
});

test('total_size may be wrong or absent, but not malformed', async () => {
  for (const [metadata, warnings] of [['{"total_size":3}', 0], ['{"total_size":4}', 1], ['{}', 0], ['{"total_parameters":3,"x":[1,{"y":null}],"total_size":3}', 0]] as const) {
    assert.is((await openCheckpoint(withIndex(mapOf(GOOD, metadata)))).warnings.length, warnings, metadata);
  }
  assert.is((await openCheckpoint(withIndex(`{"weight_map":${JSON.stringify(GOOD)}}`))).tensors.size, 3);
  for (const bad of ['-1', '3.0', '"3"', 'null', '1e3', '18446744073709551616', '[]']) assert.is(await codeOf(openCheckpoint(withIndex(mapOf(GOOD, `{"total_size":${bad}}`)))), 'index-total-size', bad);
});

test('malformed indexes are refused, each with its code', async () => {
  const m = JSON.stringify(GOOD);
  const cases: readonly [string, string][] = [
    ['', 'root-type'], ['[]', 'root-type'], ['null', 'root-type'], ['{', 'json-syntax'], ['{}', 'index-weight-map'], ['\ufeff{}', 'bom'], [`{"weight_map":${m}} x`, 'json-trailing'],
    ['{"weight_map":[]}', 'index-weight-map'], ['{"weight_map":null}', 'index-weight-map'], ['{"weight_map":{"a":1}}', 'index-weight-map'], ['{"weight_map":{"a":null}}', 'index-weight-map'],
    ['{"weight_map":{"a":["x.safetensors"]}}', 'index-weight-map'], [`{"weight_map":${m},"weight_map":${m}}`, 'duplicate-field'], [`{"weight_map":${m},"weight\\u005fmap":${m}}`, 'duplicate-field'],
    [`{"metadata":[],"weight_map":${m}}`, 'index-metadata'], [`{"metadata":{"total_size":3,"total_size":3},"weight_map":${m}}`, 'duplicate-field'],
    [`{"weight_map":{"a":"${ONE}","a":"${TWO}"}}`, 'duplicate-tensor'], [`{"weight_map":{"a":"${ONE}","\\u0061":"${ONE}"}}`, 'duplicate-tensor'],
    [`{"weight_map":{"a\\u0000":"${ONE}"}}`, 'name-control'], [`{"weight_map":{"${'n'.repeat(4097)}":"${ONE}"}}`, 'name-too-long'],
    [`{"x":${'['.repeat(40)}${']'.repeat(40)},"weight_map":${m}}`, 'json-depth'], [`{"x":${'{"a":'.repeat(100_000)}`, 'json-depth'],
    [`{"x":01,"weight_map":${m}}`, 'json-syntax'], [`{"x":tru,"weight_map":${m}}`, 'json-syntax'], [`{"x":NaN,"weight_map":${m}}`, 'json-syntax'], [`{"x":"\\ud800","weight_map":${m}}`, 'json-surrogate'], [`{"x":[1,],"weight_map":${m}}`, 'json-syntax'],
    [`{"weight_map":{${Array.from({ length: SHARD_LIMIT + 1 }, (_, i) => `"t${i}":"s${i}.safetensors"`).join(',')}}}`, 'index-shard-count'],
  ];
  for (const [index, code] of cases) assert.is(await codeOf(openCheckpoint(withIndex(index))), code, index.slice(0, 60));
  assert.is(await codeOf(openCheckpoint(new Map([[INDEX, new Uint8Array([0xff])]]))), 'utf8');
  assert.is(await codeOf(openCheckpoint(new Map([[INDEX, new Uint8Array(16 * 1024 * 1024 + 1).fill(0x20)]]))), 'index-too-large');
  assert.is((await openCheckpoint(withIndex(`{"x":[1,-0.5e+3,"s",true,{"k":[]}],"weight_map":${m}}`))).tensors.size, 3);
});

test('the map must agree with the headers in both directions', async () => {
  const cases: readonly [string, Record<string, string>, Record<string, Uint8Array>][] = [
    ['index-shard-missing', GOOD, { [ONE]: shard({ a: 1, b: 2 }) }],
    ['index-tensor-missing', { ...GOOD, d: TWO }, { [ONE]: shard({ a: 1, b: 2 }), [TWO]: shard({ c: 3 }) }],
    ['index-tensor-extra', GOOD, { [ONE]: shard({ a: 1, b: 2 }), [TWO]: shard({ c: 3, d: 4 }) }],
    ['index-tensor-repeated', GOOD, { [ONE]: shard({ a: 1, b: 2 }), [TWO]: shard({ c: 3, a: 4 }) }],
    ['index-tensor-misplaced', GOOD, { [ONE]: shard({ a: 1, b: 2, c: 3 }), [TWO]: shard({}) }],
    ['index-tensor-misplaced', { a: ONE, b: TWO, c: TWO }, { [ONE]: shard({ a: 1, b: 2 }), [TWO]: shard({ c: 3 }) }],
    ['data-truncated', GOOD, { [ONE]: shard({ a: 1, b: 2 }), [TWO]: shard({ c: 3 }).slice(0, -1) }],
  ];
  for (const [code, map, files] of cases) assert.is(await codeOf(openCheckpoint(withIndex(mapOf(map), files))), code);
});

/** Shard names that must never be opened. */
const HOSTILE: readonly string[] = [
  '/etc/passwd.safetensors', '/model.safetensors', '//server/share/x.safetensors', '\\\\server\\share\\x.safetensors', '\\\\?\\C:\\x.safetensors', '\\\\.\\pipe\\x.safetensors',
  '../x.safetensors', '..\\x.safetensors', '../../../../x.safetensors', './x.safetensors', '.\\x.safetensors', 'a/../x.safetensors', 'a/./x.safetensors', 'a//x.safetensors', 'sub/x.safetensors', 'sub\\x.safetensors', 'x/../../y.safetensors',
  'C:x.safetensors', 'C:\\x.safetensors', 'C:/x.safetensors', 'c:\\..\\x.safetensors', 'x.safetensors:stream.safetensors', 'x:y.safetensors',
  'x\0.safetensors', 'x.safetensors\0', 'x.safetensors\0.safetensors', 'x\n.safetensors', 'x.safetensors\n', '\nx.safetensors', 'x\r.safetensors', 'x\t.safetensors', 'x\u007f.safetensors', 'x\u001b[0m.safetensors',
  '%2e%2e/x.safetensors', '%2e%2e%2fx.safetensors', '..%2fx.safetensors', '..%5cx.safetensors', '%2Fx.safetensors', '%00x.safetensors', '%252e%252e%252fx.safetensors', 'x%20y.safetensors',
  '..', '.', '', '.safetensors', '..safetensors', '.hidden.safetensors', '...safetensors', ' x.safetensors', 'x.safetensors ', 'x y.safetensors', 'x.safetensors.', '~/x.safetensors', '~root.safetensors', '$HOME.safetensors', '`x`.safetensors', 'x;y.safetensors', '*.safetensors', 'x?.safetensors', 'x|y.safetensors', '"x".safetensors', '<x>.safetensors',
  'CON.safetensors', 'nul.safetensors', 'Aux.safetensors', 'prn.safetensors', 'COM1.safetensors', 'lpt9.safetensors', 'con.x.safetensors',
  '\u2025/x.safetensors', '\uff0e\uff0e\uff0fx.safetensors', 'x\u2215y.safetensors', 'x\u2044y.safetensors', 'x\uff0fy.safetensors', 'x\u29f5y.safetensors', '\u202ex.safetensors', 'm\u043edel.safetensors', 'x\u0301.safetensors', '\ud83d\ude00.safetensors',
  'https://example.com/x.safetensors', 'file:///etc/x.safetensors', 'data:,x.safetensors', 'blob:x.safetensors', '?x.safetensors', '#x.safetensors', 'x.safetensors?y', 'x.safetensors#y',
  'x.SAFETENSORS', 'x.safetensor', 'x.bin', 'pytorch_model.bin', 'x.safetensors.gz', 'safetensors', `${'x'.repeat(256)}.safetensors`, `${'x'.repeat(100_000)}.safetensors`,
];

test('at least 60 hostile shard names are refused, and nothing but the index is opened', async () => {
  assert.ok(HOSTILE.length >= 60, `${HOSTILE.length}`);
  for (const name of HOSTILE) {
    const opened: string[] = [];
    const real = folderSource(withIndex(mapOf({ a: name })));
    const spy: FolderSource = { name: 'spy', open: (n) => { opened.push(n); return real.open(n); }, readText: (n) => real.readText(n), sub: (n) => real.sub(n) };
    assert.is(await codeOf(openCheckpoint(spy)), 'index-shard-name', JSON.stringify(name).slice(0, 60));
    assert.equal(opened, ['model.safetensors', INDEX]);
  }
  for (const name of [ONE, 'a.safetensors', '0.safetensors', '_.safetensors', 'a..b.safetensors', 'model.fp16-00001-of-00010.safetensors', 'console.safetensors', `${'x'.repeat(255)}.safetensors`]) assert.ok(isShardName(name), name);
});

test('a folder opens no hostile name either, whatever asked for it', async () => {
  const folder = folderSource(new Map<string, Uint8Array>(HOSTILE.map((name) => [name, utf8('secret')])));
  for (const name of HOSTILE) {
    if (/^(?:sub\/x|x)\.(?:safetensor|SAFETENSORS|bin|safetensors(?:\.gz)?)s?$|^safetensors$|^pytorch_model\.bin$/.test(name)) continue; // harmless as a file name, only no shard
    assert.is(await codeOf(folder.open(name)), 'name-unsafe', JSON.stringify(name).slice(0, 60));
    assert.is(await codeOf(folder.readText(name)), 'name-unsafe');
    assert.throws(() => folder.sub(name), (e: unknown) => e instanceof WeightError && e.code === 'name-unsafe');
  }
  assert.equal(checkFileName('1_Pooling/config.json'), ['1_Pooling', 'config.json']);
  assert.is(await folder.open('absent.safetensors'), undefined);
});

test('picked files are found by name, and those of a picked folder by their path below it', async () => {
  const file = (path: string, value: number): File => Object.defineProperty(new File([shard({ a: value }) as Uint8Array<ArrayBuffer>], path.split('/').at(-1)!), 'webkitRelativePath', { value: path.includes('/') ? path : '' });
  const picked = folderSource([file('gemma/model.safetensors', 1), file('gemma/2_Dense/model.safetensors', 2)]);
  assert.equal([...await (await openCheckpoint(picked)).getTensor('a')], [1]);
  assert.equal([...await (await openCheckpoint(picked.sub('2_Dense'))).getTensor('a')], [2]);
  assert.equal([...await (await openCheckpoint([file('model.safetensors', 3)])).getTensor('a')], [3]);
  assert.throws(() => folderSource([file('model.safetensors', 1), file('model.safetensors', 2)]), (e: unknown) => e instanceof WeightError && e.code === 'source-type');
  assert.throws(() => folderSource(['model.safetensors'] as never), (e: unknown) => e instanceof WeightError && e.code === 'source-type');
});

test('readText is strict UTF-8 and undefined when absent', async () => {
  const folder = folderSource({ 'config.json': utf8('{"x":"\u00e9"}'), 'bad.json': new Uint8Array([0xff]), 'bom.json': utf8('\ufeff{}') });
  assert.is(await folder.readText('config.json'), '{"x":"\u00e9"}');
  assert.is(await folder.readText('absent.json'), undefined);
  assert.is(await codeOf(folder.readText('bad.json')), 'utf8');
  assert.is(await codeOf(folder.readText('bom.json')), 'bom');
});

test.when(isNode, 'real directories and links', 'Node only: directories; links out of the folder are refused, the hub cache layout is not', async () => {
  const { mkdtemp, mkdir, writeFile, symlink, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const root = await mkdtemp(join(tmpdir(), 'vl-jepa-weights-'));
  try {
    const blob = 'ab'.repeat(32);
    for (const dir of ['model/2_Dense', 'hub/snapshots/rev/sub', 'hub/blobs', 'other/blobs', 'outside']) await mkdir(join(root, dir), { recursive: true });
    await writeFile(join(root, 'model/model.safetensors'), shard({ a: 1 }));
    await writeFile(join(root, 'model/2_Dense/model.safetensors'), shard({ d: 2 }));
    await writeFile(join(root, 'outside/secret.safetensors'), shard({ s: 9 }));
    for (const repo of ['hub', 'other']) await writeFile(join(root, repo, 'blobs', blob), shard({ h: 3 }));
    await symlink('../outside/secret.safetensors', join(root, 'model/link.safetensors'));
    await symlink('../outside', join(root, 'model/way'));
    await symlink('model.safetensors', join(root, 'model/inner.safetensors'));
    await symlink(`../../blobs/${blob}`, join(root, 'hub/snapshots/rev/model.safetensors'));
    await symlink(`../../../blobs/${blob}`, join(root, 'hub/snapshots/rev/sub/model.safetensors'));
    await symlink(`../../../other/blobs/${blob}`, join(root, 'hub/snapshots/rev/foreign.safetensors'));
    const folder = folderSource(join(root, 'model'));
    const names = async (input: string): Promise<string[]> => { const st = await openCheckpoint(input); await st.close(); return st.names(); };
    assert.equal(await names(join(root, 'model')), ['a']);
    assert.equal(await names(join(root, 'model/2_Dense')), ['d']);
    assert.equal(await names(join(root, 'model/2_Dense/model.safetensors')), ['d']);
    assert.equal(await names(`file://${join(root, 'model')}`), ['a']);
    assert.equal(await names(join(root, 'hub/snapshots/rev')), ['h']);
    const nested = await openCheckpoint(folderSource(join(root, 'hub/snapshots/rev')).sub('sub'));
    assert.equal(nested.names(), ['h']);
    await nested.close();
    await (await folder.open('inner.safetensors'))!.close();
    assert.is(await codeOf(folder.open('link.safetensors')), 'outside-folder');
    assert.is(await codeOf(folder.open('way/secret.safetensors')), 'outside-folder');
    assert.is(await codeOf(folderSource(join(root, 'hub/snapshots/rev')).open('foreign.safetensors')), 'outside-folder');
    assert.is(await folder.open('absent.safetensors'), undefined);
    assert.is(await codeOf(openCheckpoint(join(root, 'nowhere'))), 'checkpoint-missing');
    assert.is(await codeOf(openCheckpoint(join(root, 'outside'))), 'checkpoint-missing');
    assert.is(await codeOf(folder.open('2_Dense')), 'source-type');
  } finally {
    await rm(root, { recursive: true });
  }
});

test.run();
