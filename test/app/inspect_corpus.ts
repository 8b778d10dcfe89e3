// Folders for `vl-jepa inspect`, good and bad: real-shaped networks of a few kilobytes, and each way one of their files can be wrong. Node only.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join as joinPath } from 'node:path';
import { entry, file, join, malformed, prefix, valid } from '../weights/corpus.ts';
import { dense, GEMMA, INDEX, JOINT, json, LLAMA, MODULES, SENTENCE, sharded, shardName, single, specsOf, TABLES, TOKENIZER, VISION, zeros } from './tiny_folders.ts';
import type { Files, Item, Json, Spec } from './tiny_folders.ts';

/** One folder, what is asked of it (a path inside, '' the folder), and the verdict. */
export interface InspectCase { readonly name: string; readonly files: Files; readonly path: string; readonly accepted: boolean; readonly says?: RegExp }

/** Collects cases. */
class List {
  readonly cases: InspectCase[] = [];
  add(name: string, accepted: boolean, files: Files, options: { path?: string; says?: RegExp } = {}): void {
    this.cases.push({ name, accepted, files, path: options.path ?? '', ...(options.says ? { says: options.says } : {}) });
  }
  bad(name: string, files: Files, says?: RegExp, path = ''): void {
    this.add(name, false, files, { path, ...(says ? { says } : {}) });
  }
  good(name: string, files: Files, path = ''): void {
    this.add(name, true, files, { path });
  }
}

/** Every bad file of the reader's corpus where a real folder has a file, in turns, and every good one alone. */
function files(list: List): void {
  const vision = single(VISION, specsOf('vision'));
  const llama = sharded(LLAMA, specsOf('llama'));
  const loose = zeros([{ name: 'a', shape: [1] }]);
  const places: readonly (readonly [string, (bytes: Uint8Array) => Files, RegExp])[] = [
    ['vision folder', (bytes) => ({ ...vision, 'model.safetensors': bytes }), /model\.safetensors/],
    ['a shard', (bytes) => ({ ...llama, [shardName(2, 3)]: bytes }), /00002-of-00003/],
    ['a Dense layer', (bytes) => ({ ...SENTENCE, '2_Dense/model.safetensors': bytes }), /2_Dense/],
    ['among loose files', (bytes) => ({ 'a.safetensors': loose, 'x.safetensors': bytes }), /x\.safetensors/],
    ['file alone', (bytes) => ({ 'x.safetensors': bytes }), /x\.safetensors/],
  ];
  for (const [i, { name, bytes }] of malformed().entries()) {
    const [place, make, says] = places[i % places.length]!;
    list.bad(`${place}: ${name}`, make(bytes), says, place === 'file alone' ? 'x.safetensors' : '');
  }
  for (const [i, { name, bytes }] of valid().entries()) {
    if (i % 2) list.good(`file: ${name}`, { 'x.safetensors': bytes }, 'x.safetensors');
    else list.good(`folder without config: ${name}`, { [i % 4 ? 'x.safetensors' : 'model.safetensors']: bytes });
  }
}

/** Changes of a real header's text; the data stay. */
function headers(list: List): void {
  for (const [network, config, specs] of TABLES) {
    const whole = zeros(specs);
    const length = new DataView(whole.buffer).getUint32(0, true);
    const text = new TextDecoder().decode(whole.subarray(8, 8 + length)).trimEnd();
    const data = whole.subarray(8 + length);
    const first = specs[0]!.name;
    const changes: readonly (readonly [string, (t: string) => string | Uint8Array])[] = [
      ['a name twice', (t) => t.replace(/\}$/, `,${JSON.stringify(first)}:${/"(?:dtype)[^}]*\}/.exec(t)![0].replace(/^/, '{')}}`)],
      ['a name twice by an escape', (t) => t.replace(/\}$/, `,"\\u${first.charCodeAt(0).toString(16).padStart(4, '0')}${first.slice(1)}":${entry('"F32"', '[0]', '[0,0]')}}`)],
      ['an unknown field', (t) => t.replace('"dtype"', '"x":1,"dtype"')], ['dtype in small letters', (t) => t.replace('"F32"', '"f32"')], ['another dtype of another width', (t) => t.replace('"F32"', '"F64"')],
      ['a negative dim', (t) => t.replace(/"shape":\[/, '"shape":[-')], ['a dim 1.0', (t) => t.replace(/"shape":\[(\d+)/, '"shape":[$1.0')], ['a dim 01', (t) => t.replace(/"shape":\[/, '"shape":[0')],
      ['a dim as text', (t) => t.replace(/"shape":\[(\d+)/, '"shape":["$1"')], ['a dim of 2^64', (t) => t.replace(/"shape":\[\d+/, '"shape":[18446744073709551616')], ['a dim more', (t) => t.replace(/"shape":\[/, '"shape":[2,')],
      ['offsets reversed', (t) => t.replace(/"data_offsets":\[(\d+),(\d+)\]/, '"data_offsets":[$2,$1]')], ['offsets moved', (t) => t.replace(/"data_offsets":\[(\d+),(\d+)\]/, (_, a, b) => `"data_offsets":[${+a + 4},${+b + 4}]`)],
      ['one offset', (t) => t.replace(/"data_offsets":\[(\d+),(\d+)\]/, '"data_offsets":[$1]')], ['no data_offsets', (t) => t.replace(/,"data_offsets":\[\d+,\d+\]/, '')], ['no shape', (t) => t.replace(/"shape":\[[^\]]*\],/, '')], ['no dtype', (t) => t.replace('"dtype":"F32",', '')],
      ['a trailing comma', (t) => t.replace(/\}$/, ',}')], ['a comment', (t) => `/**/${t}`], ['NUL padding', (t) => `${t}\0\0`], ['a mark in front', (t) => `\ufeff${t}`], ['metadata with a number', (t) => t.replace('"format":"pt"', '"format":1')],
      ['metadata twice', (t) => t.replace('{', '{"__metadata__":{},')], ['not closed', (t) => t.slice(0, -1)], ['two objects', (t) => `${t}{}`], ['a control character in a name', (t) => t.replace(first, `${first}\\u0007`)],
      ['bad UTF-8 in a name', (t) => { const b = new TextEncoder().encode(t); b[t.indexOf(first)] = 0xff; return b; }],
    ];
    for (const [name, change] of changes) list.bad(`${network}: ${name}`, { 'config.json': json(config), 'model.safetensors': file(change(text), data) }, /model\.safetensors/);
    for (const dtype of ['I32', 'U32']) list.bad(`${network}: stored as ${dtype}`, { 'config.json': json(config), 'model.safetensors': file(text.replace('"F32"', `"${dtype}"`), data) }, new RegExp(`stored as ${dtype}, and ${dtype} does not fit f32 exactly`));
    const half = whole.subarray(0, whole.length - 7);
    for (const [name, bytes] of [
      ['cut in the data', half], ['cut in the header', whole.subarray(0, 100)], ['cut to 8 bytes', whole.subarray(0, 8)], ['empty', new Uint8Array(0)], ['bytes behind', join(whole, new Uint8Array(3))], ['a zip behind', join(whole, new TextEncoder().encode('PK\x05\x06'))],
      ['a header that claims the whole file', join(prefix(whole.length), whole.subarray(8))], ['a header one byte short', join(prefix(text.length - 1), whole.subarray(8))], ['big-endian length', join(whole.slice(0, 8).reverse(), whole.subarray(8))],
    ] as const) list.bad(`${network}: ${name}`, { 'config.json': json(config), 'model.safetensors': bytes }, /model\.safetensors/);
  }
}

/** Indexes and shards. */
function shards(list: List): void {
  const base = sharded(LLAMA, specsOf('llama'));
  const index = JSON.parse(base[INDEX] as string) as { metadata: Json; weight_map: Record<string, string> };
  const names = Object.keys(index.weight_map);
  const withMap = (change: (map: Record<string, string>) => void, files: Files = base): Files => {
    const map = { ...index.weight_map };
    change(map);
    return { ...files, [INDEX]: json({ ...index, weight_map: map }) };
  };
  for (const n of [1, 2, 3, 7]) for (const [network, config, specs] of TABLES) list.good(`${network} in ${n} shards`, sharded(config, specs, n));
  list.good('the index itself', base, INDEX);
  list.good('a shard itself', base, shardName(1, 3));
  list.good('shards without a config', Object.fromEntries(Object.entries(base).filter(([name]) => name !== 'config.json')));
  const { [INDEX]: indexText, ...rest } = base;
  list.good('an index of another name', { ...Object.fromEntries(Object.entries(rest).filter(([name]) => name !== 'config.json')), 'variant.safetensors.index.json': indexText! });
  list.good('an index of another name, asked for', { ...rest, 'variant.safetensors.index.json': indexText! }, 'variant.safetensors.index.json');
  list.bad('shards and config, no index', rest, /neither model\.safetensors nor/);
  for (const name of ['../x.safetensors', '../../etc/passwd', '/etc/passwd', '/tmp/x.safetensors', '..\\x.safetensors', 'C:\\x.safetensors', 'sub/x.safetensors', './model.safetensors', '%2e%2e/x.safetensors', 'x.safetensors\0', '', '.', '..', '.hidden.safetensors', 'CON.safetensors', 'https://example.com/x.safetensors', 'model.bin', 'x.safetensors ', '\u202ex.safetensors', 'config.json', 'x'.repeat(300) + '.safetensors', '~/x.safetensors']) {
    list.bad(`an index that names ${JSON.stringify(name).slice(0, 40)}`, withMap((map) => { map[names[3]!] = name; }), /index\.json/);
    list.bad(`an index file that names ${JSON.stringify(name).slice(0, 40)}`, withMap((map) => { map[names[3]!] = name; }), /index\.json/, INDEX);
    list.bad(`a bad index beside a single file: ${JSON.stringify(name).slice(0, 40)}`, { ...single(LLAMA, specsOf('llama')), [INDEX]: json({ weight_map: { ...index.weight_map, [names[0]!]: name } }) }, /index\.json/);
  }
  for (let i = 1; i <= 3; i++) {
    const { [shardName(i, 3)]: _, ...missing } = base;
    list.bad(`shard ${i} is missing`, missing, new RegExp(`the shard model-0000${i}`));
    list.bad(`shard ${i} is a folder`, { ...missing, [`${shardName(i, 3)}/x`]: 'x' }, /no regular file/);
    list.bad(`shard ${i} links out`, { ...missing, [shardName(i, 3)]: { link: '/etc/passwd' } }, /leads out of the folder/);
    list.bad(`shard ${i} links to nothing`, { ...missing, [shardName(i, 3)]: { link: 'nowhere.safetensors' } }, /is not there/);
    list.bad(`shard ${i} links to itself`, { ...missing, [shardName(i, 3)]: { link: shardName(i, 3) } }, /ELOOP/);
    list.bad(`shard ${i} is another shard's copy`, { ...missing, [shardName(i, 3)]: base[shardName((i % 3) + 1, 3)]! }, /index\.json/);
    list.bad(`shard ${i} holds a tensor more`, { ...base, [shardName(i, 3)]: zeros([...specsOf('llama').filter((_s, k) => k % 3 === i - 1), { name: 'more', shape: [1] }]) }, /not in weight_map/);
    list.bad(`shard ${i} lacks a tensor`, { ...base, [shardName(i, 3)]: zeros(specsOf('llama').filter((_s, k) => k % 3 === i - 1).slice(1)) }, /in no shard/);
    list.bad(`shard ${i} holds one of the next`, { ...base, [shardName(i, 3)]: zeros(specsOf('llama').filter((_s, k) => k % 3 === i - 1 || k === i)) }, /is in model-/);
    list.bad(`shard ${i} is cut`, { ...base, [shardName(i, 3)]: (base[shardName(i, 3)] as Uint8Array).slice(0, -4) }, new RegExp(`0000${i}-of-00003`));
    list.bad(`shard ${i} is empty`, { ...base, [shardName(i, 3)]: new Uint8Array(0) }, new RegExp(`0000${i}-of-00003`));
  }
  list.bad('a fourth shard of three beside', { ...base, 'model-00004-of-00003.safetensors': zeros([{ name: 'x', shape: [1] }]) }, /the shard "model-00004-of-00003/);
  list.good('stale shards of another count beside', { ...base, 'model-00001-of-00009.safetensors': zeros([{ name: 'x', shape: [1] }]) });
  list.good('an adapter beside', { ...base, 'adapter_model.safetensors': new Uint8Array(3) });
  list.bad('a map with a name in the wrong shard', withMap((map) => { map[names[0]!] = map[names.at(-1)!]!; }), /weight_map says/);
  list.bad('a map without a tensor', withMap((map) => { delete map[names[5]!]; }), /not in weight_map/);
  list.bad('a map with a tensor more', withMap((map) => { map['more'] = shardName(1, 3); }), /in no shard/);
  list.bad('a map with a shard more', withMap((map) => { map['more'] = 'other.safetensors'; }), /other\.safetensors is not there/);
  for (const [name, total, good] of [['too large', 1e9, true], ['0', 0, true], ['negative', -1, false], ['1.5', 1.5, false], ['a text', '12', false], ['null', null, false]] as const) list.add(`total_size ${name}`, good, { ...base, [INDEX]: json({ metadata: { total_size: total }, weight_map: index.weight_map }) });
  list.good('no metadata', { ...base, [INDEX]: json({ weight_map: index.weight_map }) });
  list.good('more fields', { ...base, [INDEX]: json({ ...index, extra: [1, { a: null }] }) });
  for (const text of ['', '{', '[]', 'null', '{}', '{"weight_map":[]}', '{"weight_map":{}}', '{"weight_map":{"a":1}}', '{"weight_map":null}', '\ufeff{}', `${base[INDEX] as string}x`, '{"metadata":[],"weight_map":{}}', '<html>', '{"weight_map":{"a":"b.safetensors"},}', `{"x":${'['.repeat(100_000)}`, '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', `{"weight_map":{},"weight_map":${JSON.stringify(index.weight_map)}}`, `{"metadata":{"total_size":1,"total_size":2},"weight_map":${JSON.stringify(index.weight_map)}}`]) list.bad(`index ${text.slice(0, 50)}`, { ...base, [INDEX]: text });
  list.bad('an index of bytes that are no text', { ...base, [INDEX]: new Uint8Array([0xff, 0xfe, 0x7b]) }, /UTF-8/);
  list.bad('an index above 16 MiB', { ...base, [INDEX]: new Uint8Array(16 * 1024 * 1024 + 1).fill(0x20) }, /limit 16777216/);
  list.bad('1025 shards', { ...base, [INDEX]: json({ weight_map: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`t${i}`, `s${i}.safetensors`])) }) }, /1025 shards/);
  list.bad('an index that is a folder', { ...rest, [`${INDEX}/x`]: 'x' }, /no regular file/);
  list.bad('an index that links out', { ...rest, [INDEX]: { link: '/etc/hostname' } }, /leads out/);
  list.bad('a single file beside the shards', { ...base, 'model.safetensors': zeros(specsOf('llama')) }, /expected one checkpoint/);
  list.good('a single file with its own index', { ...single(LLAMA, specsOf('llama')), [INDEX]: json({ weight_map: Object.fromEntries(names.map((n) => [n, 'model.safetensors'])) }) });
  const hub: Record<string, Item> = { blobs: { folder: true } };
  for (const [i, [name, content]] of Object.entries(base).entries()) {
    const hash = (i % 2 ? 'ab' : '0f').repeat(i % 2 ? 20 : 32).slice(0, i % 2 ? 39 : 63) + i.toString(16);
    hub[`models--x/blobs/${hash}`] = content;
    hub[`models--x/snapshots/rev/${name}`] = { link: `../../blobs/${hash}` };
  }
  list.good('the cache of the hub', hub, 'models--x/snapshots/rev');
}

/** Values that are no size. */
const NO_SIZES: readonly unknown[] = [0, -1, -0.5, 1.5, 2 ** 31, 1e300, '12', '', true, [], [12], {}, false];

/** Configs. */
function configs(list: List): void {
  const FIELDS: Record<string, readonly string[]> = {
    vision: ['hidden_size', 'num_attention_heads', 'num_hidden_layers', 'patch_size', 'crop_size', 'tubelet_size'], joint: ['embedding_dim'],
    llama: ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads', 'vocab_size', 'head_dim'], gemma: ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads', 'vocab_size', 'head_dim', 'sliding_window'],
  };
  for (const [network, config, specs] of TABLES) {
    const weights = zeros(specs);
    const folder = (c: unknown): Files => ({ 'config.json': typeof c === 'string' ? c : json(c), 'model.safetensors': weights });
    list.good(`${network}`, folder(config));
    for (const field of FIELDS[network]!) {
      if (field === 'crop_size') list.bad('vision: crop_size = 2000000000', folder({ ...config, crop_size: 2_000_000_000 }), /crop_size/);
      for (const value of NO_SIZES) list.bad(`${network}: ${field} = ${JSON.stringify(value)}`, folder({ ...config, [field]: value }), new RegExp(`config\\.json.*${field}`));
      for (const value of [1, 3, 1000, 2_000_000_000]) if (value !== config[field] && !['crop_size', 'sliding_window'].includes(field) && !(network === 'vision' && field === 'num_attention_heads' && 12 % value === 0)) list.bad(`${network}: ${field} = ${value} disagrees`, folder({ ...config, [field]: value }));
      const { [field]: _, ...without } = config;
      if (!['head_dim', 'num_key_value_heads'].includes(field)) list.bad(`${network}: no ${field}`, folder(without), new RegExp(`${field} is missing`));
    }
    for (const type of ['bert', 'vit', 'gemma3', 'Llama', '', 1, null, undefined, ['llama'], {}, '__proto__', 'x'.repeat(10_000)]) list.bad(`${network}: model_type ${String(JSON.stringify(type)).slice(0, 30)}`, folder({ ...config, model_type: type }), /config\.json: model_type/);
    for (const [i, text] of ['', ' ', '{', 'null', '[]', '3', '"x"', 'NaN', json(config) + 'x', json(config).replace(/\}$/, ',}'), '\ufeff' + json(config), `// c\n${json(config)}`, json(config).replace(/"/g, "'"), json(config).replace('{', '{"model_type": "bert",'), json(config).replace('{', '{"x": NaN,'), json(config).replace('{', `{"x":${'['.repeat(1e5)}${']'.repeat(1e5)},`), 'version https://git-lfs.github.com/spec/v1'].entries()) {
      list.bad(`${network}: config.json ${i}: ${JSON.stringify(text.slice(0, 40))}`, folder(text), /config\.json/);
    }
    list.bad(`${network}: config.json of bytes`, { ...folder(config), 'config.json': new Uint8Array([0xff, 0xd8]) }, /config\.json.*UTF-8/);
    list.bad(`${network}: config.json of 5 MB`, folder({ ...config, x: 'y'.repeat(5_000_000) }), /config\.json.*limit/);
    list.bad(`${network}: config.json links out`, { 'config.json': { link: '/etc/hostname' }, 'model.safetensors': weights }, /config\.json/);
    list.bad(`${network}: config.json links to nothing`, { 'config.json': { link: 'nowhere' }, 'model.safetensors': weights }, /config\.json/);
    list.bad(`${network}: config.json is a folder`, { 'config.json/x': 'x', 'model.safetensors': weights }, /config\.json/);
    list.bad(`${network}: model.safetensors is a folder`, { 'config.json': json(config), 'model.safetensors/x': 'x' }, /no regular file/);
    list.bad(`${network}: model.safetensors links out`, { 'config.json': json(config), 'model.safetensors': { link: '/etc/hostname' } }, /leads out/);
    list.bad(`${network}: no weights`, { 'config.json': json(config) }, /neither model\.safetensors/);
    list.good(`${network}: fields nobody knows`, folder({ ...config, zzz: { a: [1] }, torch_dtype: 'float32', architectures: ['X'], transformers_version: '5.0' }));
    const name = specs[1]!.name;
    const changed = (change: Spec[]): Files => ({ 'config.json': json(config), 'model.safetensors': zeros(change) });
    list.bad(`${network}: a tensor is missing`, changed(specs.filter((s) => s.name !== name)), /is missing, the nearest name is/);
    list.bad(`${network}: a tensor is renamed`, changed(specs.map((s) => (s.name === name ? { ...s, name: `${name}s` } : s))), new RegExp(`${name.replaceAll('.', '\\.')} is missing, the nearest name is ${name.replaceAll('.', '\\.')}s`));
    list.bad(`${network}: a tensor is unknown`, changed([...specs, { name: 'blocks.0.gate', shape: [1] }]), /not used by this network, expected none: blocks\.0\.gate/);
    list.bad(`${network}: a tensor is turned`, changed(specs.map((s) => (s.shape.length > 1 ? { ...s, shape: [...s.shape].reverse() } : s))), /has shape/);
    list.bad(`${network}: a shape with a dim more`, changed(specs.map((s) => (s.name === name ? { ...s, shape: [...s.shape, 1] } : s))), /has shape/);
    list.bad(`${network}: nothing stored`, changed([]), /nothing is stored/);
    for (const dtype of ['BF16', 'F16'] as const) list.good(`${network}: ${dtype}`, { 'config.json': json(config), 'model.safetensors': zeros(specs, dtype) });
  }
  networks(list);
}

/** What holds for one kind of network. */
function networks(list: List): void {
  const [vision, llama, gemma, joint] = ['vision', 'llama', 'gemma', 'joint'].map(specsOf) as [readonly Spec[], readonly Spec[], readonly Spec[], readonly Spec[]];
  const renamed = (config: Json, specs: readonly Spec[], rename: (name: string) => string): Files => ({ 'config.json': json(config), 'model.safetensors': zeros(specs.map((s) => ({ ...s, name: rename(s.name) }))) });
  for (const wrapper of ['model.', 'vjepa2.', 'encoder.', 'model.vjepa2.']) list.good(`vision under ${wrapper}`, renamed(VISION, vision, (n) => wrapper + n));
  list.good('vision without encoder.', renamed(VISION, vision, (n) => n.replace('encoder.', '')));
  list.good('llama without model.', renamed(LLAMA, llama, (n) => n.replace('model.', '')));
  for (const wrapper of ['model.', 'text_model.', 'encoder.']) list.good(`gemma under ${wrapper}`, renamed(GEMMA, gemma, (n) => wrapper + n));
  list.bad('vision under blocks.', renamed(VISION, vision, (n) => `blocks.${n}`), /is missing/);
  list.bad('vision twice', renamed(VISION, [...vision, ...vision.map((s) => ({ ...s, name: `vjepa2.${s.name}` }))], (n) => n), /the same tensor/);
  const predictor = [{ name: 'predictor.layernorm.weight', shape: [4] }, { name: 'predictor.embeddings.mask_tokens', shape: [2, 1, 1, 4] }];
  list.good('vision with its predictor', renamed(VISION, [...vision, ...predictor], (n) => n));
  list.good('vision of a classifier', renamed(VISION, [...vision, ...predictor, { name: 'pooler.query', shape: [1] }, { name: 'classifier.weight', shape: [2, 3] }], (n) => (/^(pooler|classifier)/.test(n) ? n : `vjepa2.${n}`)));
  list.good('llama with lm_head', renamed(LLAMA, [...llama, { name: 'lm_head.weight', shape: [20, 8] }], (n) => n));
  list.good('gemma with lm_head', renamed(GEMMA, [...gemma, { name: 'lm_head.weight', shape: [20, 8] }], (n) => n));
  for (const key of ['modality_embedding', 'interpolate_rope', 'rope_interleaved', 'use_image_patch_embedder', 'hierarchical_outputs', 'n_output_distillation', 'img_temporal_dim_size', 'has_cls_first', 'return_all_tokens', 'num_registers']) {
    list.bad(`V-JEPA 2.1: ${key}`, { ...single({ ...VISION, [key]: 1 }, vision) }, new RegExp(`${key} is 1, expected it to be off`));
    for (const off of [false, 0, null]) list.good(`V-JEPA 2: ${key} = ${off}`, single({ ...VISION, [key]: off }, vision));
  }
  for (const [key, value] of [['hidden_act', 'relu'], ['qkv_bias', false], ['in_chans', 1], ['use_SiLU', true], ['num_attention_heads', 5], ['patch_size', 3], ['mlp_ratio', 0], ['mlp_ratio', -2], ['mlp_ratio', '4'], ['mlp_ratio', 1e9], ['mlp_ratio', 0.01], ['layer_norm_eps', -1], ['layer_norm_eps', 'x']] as const) list.bad(`vision: ${key} = ${value}`, single({ ...VISION, [key]: value }, vision), new RegExp(key));
  for (const [key, value] of [['attention_bias', true], ['mlp_bias', true], ['hidden_act', 'gelu'], ['rope_theta', 0], ['rope_theta', 'x'], ['num_key_value_heads', 3], ['head_dim', 5], ['rms_norm_eps', -1], ['rope_scaling', { rope_type: 'yarn', factor: 2 }], ['rope_scaling', { rope_type: 'llama3', factor: 0, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8 }], ['rope_scaling', []], ['tie_word_embeddings', 'yes'], ['pretraining_tp', 2], ['max_position_embeddings', 0]] as const) {
    list.bad(`llama: ${key} = ${JSON.stringify(value)}`, single({ ...LLAMA, [key]: value }, llama), /config\.json/);
  }
  for (const [key, value] of [['attn_logit_softcapping', 50], ['layer_types', ['full_attention']], ['layer_types', ['a', 'b']], ['layer_types', 'full_attention'], ['sliding_window_pattern', 0], ['query_pre_attn_scalar', 0], ['rope_local_base_freq', -1], ['use_bidirectional_attention', 'yes'], ['hidden_activation', 'gelu'], ['attention_bias', true], ['rope_parameters', {}]] as const) list.bad(`gemma: ${key} = ${JSON.stringify(value)}`, single({ ...GEMMA, [key]: value }, gemma), /config\.json/);
  for (const [key, value] of [['pool', 'max'], ['predictor_layers', [0, 9]], ['predictor_layers', [1, 1]], ['predictor_layers', 'x'], ['dense', -1], ['image_std', [0, 1, 1]], ['resize', 'x'], ['vision_config', null], ['predictor_config', []], ['text_config', 'x'], ['vision_config', { ...VISION, hidden_size: 0 }], ['text_config', { ...GEMMA, num_hidden_layers: 2 ** 30 }], ['max_text_tokens', 0], ['default_query', 5]] as const) list.bad(`joint: ${key} = ${String(JSON.stringify(value)).slice(0, 50)}`, single({ ...JOINT, [key]: value }, joint), /config\.json/);
  const heads = joint.filter(({ name }) => !/^(vision|predictor|text)\./.test(name));
  const { vision_config: _v, predictor_config: _p, text_config: _t, ...settings } = JOINT;
  const under = (part: string, files: Files): Files => Object.fromEntries(Object.entries(files).map(([name, item]) => [`${part}/${name}`, item]));
  const parts: Files = { ...single({ ...settings, parts: true }, heads), ...under('vision', single(VISION, vision)), ...under('predictor', sharded(LLAMA, llama)), ...under('text', SENTENCE) };
  list.good('joint in parts', parts);
  list.bad('joint in parts: a part is missing', Object.fromEntries(Object.entries(parts).filter(([name]) => !name.startsWith('text/'))), /text: config\.json is missing/);
  list.bad('joint in parts: a part is another network', { ...parts, ...under('vision', single(LLAMA, llama)) }, /model_type is "llama", expected "vjepa2"/);
  list.bad('joint in parts: a part lacks a tensor', { ...parts, 'vision/model.safetensors': zeros(vision.slice(1)) }, /vision: encoder\.embeddings.*is missing/);
  list.bad('joint in parts: a head is missing', { ...parts, 'model.safetensors': zeros(heads.slice(1)) }, /visual_projection\.weight is missing/);
  list.bad('joint with an empty decoder folder', { ...single(JOINT, joint), decoder: { folder: true } }, /decoder: the folder has neither/);
  for (const [name, config] of [['vision', VISION], ['llama', LLAMA], ['gemma', GEMMA], ['joint', JOINT]] as const) for (const [other, , specs] of TABLES) if (other !== name) list.bad(`config of ${name}, weights of ${other}`, single(config, specs));
}

/** Sentence-transformers folders and tokenizers. */
function sentences(list: List): void {
  list.good('sentence-transformers', SENTENCE);
  list.good('its Dense folder', SENTENCE, '2_Dense');
  const modules = (change: (m: typeof MODULES) => unknown): Files => ({ ...SENTENCE, 'modules.json': json(change(structuredClone(MODULES))) });
  list.good('without Dense', modules((m) => [m[0], m[1], m[4]]));
  list.bad('modules: no Pooling', modules((m) => [m[0], m[4]]));
  for (const path of ['../2_Dense', '/etc', '..', '2_Dense/../2_Dense', '%2e%2e', '2_Dense\\x', 'none', '']) list.bad(`modules: path ${path}`, modules((m) => { m[2]!.path = path; return m; }));
  for (const text of ['', '{', '{}', 'null', '[]', '[1]', '[{}]', '[{"path":1,"type":"x"}]']) list.bad(`modules.json ${text}`, { ...SENTENCE, 'modules.json': text }, /modules\.json/);
  for (const [name, value] of [['in_features', 9], ['in_features', 0], ['out_features', -1], ['bias', true], ['activation_function', 'torch.nn.modules.activation.Tanh'], ['bias', 'x']] as const) list.bad(`Dense: ${name} = ${value}`, { ...SENTENCE, '2_Dense/config.json': json({ ...dense(8, 16), [name]: value }) }, /2_Dense/);
  for (const name of ['1_Pooling/config.json', '2_Dense/config.json', '2_Dense/model.safetensors']) {
    const { [name]: _, ...without } = SENTENCE;
    list.bad(`without ${name}`, without, new RegExp(name.split('/')[0]!));
    list.bad(`${name} links out`, { ...without, [name]: { link: '/etc/hostname' } }, new RegExp(name.split('/')[0]!));
  }
  list.bad('Pooling of the first token', { ...SENTENCE, '1_Pooling/config.json': json({ word_embedding_dimension: 8, pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }) }, /1_Pooling/);
  list.bad('Dense with a tensor more', { ...SENTENCE, '3_Dense/model.safetensors': zeros([{ name: 'linear.weight', shape: [8, 16] }, { name: 'x', shape: [1] }]) }, /3_Dense/);
  const withTokenizer = (tokenizer: unknown): Files => ({ ...SENTENCE, 'tokenizer.json': typeof tokenizer === 'string' ? tokenizer : json(tokenizer) });
  const model = TOKENIZER.model as Json;
  list.good('with a tokenizer', withTokenizer(TOKENIZER));
  list.good('with an added token above the table, as Gemma 3 has', withTokenizer({ ...TOKENIZER, added_tokens: [...TOKENIZER.added_tokens as object[], { id: 20, content: '<image>', special: true }] }));
  const bad: readonly (readonly [string, unknown])[] = [
    ['no model', { ...TOKENIZER, model: undefined }], ['no vocabulary', { ...TOKENIZER, model: { ...model, vocab: undefined } }], ['vocabulary a list', { ...TOKENIZER, model: { ...model, vocab: ['a'] } }], ['a vocabulary of texts', { ...TOKENIZER, model: { ...model, vocab: { a: 'x' } } }], ['a negative id', { ...TOKENIZER, model: { ...model, vocab: { ...model.vocab as Json, z: -1 } } }],
    ['an id of 2^40', { ...TOKENIZER, model: { ...model, vocab: { ...model.vocab as Json, z: 2 ** 40 } } }], ['a vocabulary above the table', { ...TOKENIZER, model: { ...model, vocab: { ...model.vocab as Json, z: 20 } } }], ['no merges', { ...TOKENIZER, model: { ...model, merges: undefined } }], ['merges of numbers', { ...TOKENIZER, model: { ...model, merges: [1, 2] } }], ['merges of nothing known', { ...TOKENIZER, model: { ...model, merges: [['x', 'y']] } }], ['a merge of one', { ...TOKENIZER, model: { ...model, merges: ['a'] } }],
    ['another model', { ...TOKENIZER, model: { type: 'Nonsense', vocab: {} } }], ['a broken regex', { ...TOKENIZER, pre_tokenizer: { type: 'Split', pattern: { Regex: '((a+' }, behavior: 'Isolated', invert: false } }], ['a regex that explodes', { ...TOKENIZER, pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false } }], ['a broken regex of the normalizer', { ...TOKENIZER, normalizer: { type: 'Replace', pattern: { Regex: '[' }, content: '' } }], ['an unknown pre_tokenizer', { ...TOKENIZER, pre_tokenizer: { type: 'Nonsense' } }],
    ['an unknown normalizer', { ...TOKENIZER, normalizer: { type: 'Nonsense' } }], ['added_tokens no list', { ...TOKENIZER, added_tokens: {} }], ['added_tokens of nothing', { ...TOKENIZER, added_tokens: [null] }], ['a template of an unknown token', { ...TOKENIZER, post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<x>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }], pair: [], special_tokens: {} } }], ['a list', []], ['null', null], ['text', '{'], ['empty', ''], ['html', '<html></html>'],
    ['deep', `{"model":${'['.repeat(100_000)}`], ['deep in the pre_tokenizer', `{"pre_tokenizer":${'{"type":"Sequence","pretokenizers":['.repeat(5000)}${']}'.repeat(5000)},"model":${json(model)}}`],
  ];
  for (const [name, tokenizer] of bad) list.bad(`tokenizer: ${name}`, withTokenizer(tokenizer), /tokenizer\.json/);
  list.bad('tokenizer.json links out', { ...SENTENCE, 'tokenizer.json': { link: '/etc/hostname' } }, /tokenizer\.json/);
  list.bad('query_tokenizer.json is broken', { ...single(JOINT, specsOf('joint')), 'query_tokenizer.json': '{' }, /query_tokenizer\.json/);
}

/** Places that are no checkpoint. */
function places(list: List): void {
  list.bad('an empty folder', { 'x/y': { folder: true } }, /neither config\.json nor/, 'x/y');
  list.bad('nothing', {}, /there is no such file or folder/, 'nothing');
  list.bad('a file as a folder', { 'a.safetensors': zeros([]) }, /there is no such/, 'a.safetensors/b');
  list.bad('a folder of texts', { 'README.md': 'x', 'a.txt': 'y' }, /neither config\.json nor/);
  list.bad('a folder named like a file', { 'x.safetensors/readme': 'y' }, /neither config\.json nor/, 'x.safetensors');
  list.bad('a folder with a folder named like a file', { 'x.safetensors/readme': 'y' }, /no regular file/);
  list.bad('a link to nothing', { 'x.safetensors': { link: 'nowhere' } }, /there is no such/, 'x.safetensors');
  list.bad('a loop', { 'x.safetensors': { link: 'x.safetensors' } }, /ELOOP/, 'x.safetensors');
  list.bad('config.json itself', single(VISION, specsOf('vision')), /plain JSON/, 'config.json');
  list.good('a link to a file', { 'a.safetensors': zeros([{ name: 'a', shape: [1] }]), b: { link: 'a.safetensors' } }, 'b');
  list.good('a link to a folder', { 'a/model.safetensors': zeros([{ name: 'a', shape: [1] }]), b: { link: 'a' } }, 'b');
  list.good('a file with spaces and accents', { 'a folder/m\u00f6del (1).safetensors': zeros([{ name: 'a', shape: [1] }]) }, 'a folder');
  list.good('several loose files', { 'a.safetensors': zeros([{ name: 'a', shape: [1] }]), 'b.safetensors': zeros([{ name: 'a', shape: [2] }]), 'readme.md': 'x' });
}

/** @returns all cases; names are unique */
export function inspectCases(): InspectCase[] {
  const list = new List();
  for (const part of [files, headers, shards, configs, sentences, places]) part(list);
  return list.cases;
}

/** Writes a case's files. @param root an empty folder @returns the path to inspect */
export async function writeCase(root: string, { files: items, path }: InspectCase): Promise<string> {
  for (const [name, item] of Object.entries(items)) {
    const at = joinPath(root, name);
    await mkdir(typeof item === 'object' && 'folder' in item ? at : dirname(at), { recursive: true });
    if (typeof item === 'string' || item instanceof Uint8Array) await writeFile(at, item);
    else if ('link' in item) await symlink(item.link, at);
  }
  return path === '' ? root : joinPath(root, path);
}
