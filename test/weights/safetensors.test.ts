// The reader: bad files with their codes, good files with their content, cuts, flips, fuzz, size, and other people's readers and files.

import { HEADER_LIMIT } from '../../weights/header.ts';
import { toF32, type Dtype } from '../../weights/dtype.ts';
import { safetensorsBytes } from '../../weights/encode.ts';
import { WeightError } from '../../weights/error.ts';
import { openCheckpoint, openSafetensors } from '../../weights/safetensors.ts';
import type { ByteSource } from '../../weights/source.ts';
import { assert, generator, isNode, suite } from '../harness.ts';
import { entry, file, malformed, valid } from './corpus.ts';

const test = suite('weights: safetensors');

/** @returns the code of the WeightError that opening gives, or 'accepted'; any other error is thrown on */
async function verdict(bytes: Uint8Array): Promise<string> {
  try {
    await openSafetensors(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof WeightError) return error.code;
    throw error;
  }
}

test('at least 300 malformed files are refused, each with its own code', async () => {
  const cases = malformed();
  assert.ok(cases.length >= 300, `${cases.length} cases`);
  assert.is(new Set(cases.map((c) => c.name)).size, cases.length, 'names differ');
  const wrong: string[] = [];
  for (const { name, code, bytes } of cases) {
    const got = await verdict(bytes);
    if (got !== code) wrong.push(`${name}: ${got}, expected ${code}`);
  }
  assert.equal(wrong, []);
});

test('every code of a header fault has a case', () => {
  const codes = new Set(malformed().map((c) => c.code));
  assert.is(codes.size, 43, // 12 text faults less json-depth, which only an index can reach, 23 of entries, 9 of layout
     [...codes].sort().join(' '));
});

test('messages are one line, say where, and do not flood', async () => {
  for (const { name, bytes } of malformed()) {
    try {
      await openSafetensors(new File([bytes as Uint8Array<ArrayBuffer>], 'model.safetensors'));
      assert.unreachable(name);
    } catch (error) {
      const { message } = error as WeightError;
      assert.ok(error instanceof WeightError && message.startsWith('model.safetensors: '), message);
      if (name.startsWith('layout: ') && !message.includes('behind the header') && !message.includes('follow the header')) assert.match(message, /tensor "t[0-9]"/);
      assert.ok(message.length < 500 && !/[\u0000-\u001f\u007f-\u009f]/.test(message), `${name}: ${JSON.stringify(message)}`);
    }
  }
});

test('a fault inside an entry names its tensor', async () => {
  const error = await openSafetensors(file(`{"x":${entry()},"w.0":${entry('"F32"', '[1,-2]', '[4,8]')}}`, 8)).then(() => new Error('accepted'), (e: Error) => e);
  assert.is(error.message, 'bytes: tensor "w.0" shape: found "-2],\\"data_of", expected an unsigned integer (at byte 86)');
});

test('a file of another kind is named', async () => {
  for (const [text, kind] of [['version https://git-lfs', 'Git LFS'], ['GGUF\x03\0\0\0\x01', 'GGUF'], ['<!DOCTYPE html>', 'HTML'], ['PK\x03\x04aaaa', 'zip']] as const) {
    try { await openSafetensors(new TextEncoder().encode(text)); assert.unreachable(); } catch (error) { assert.match((error as Error).message, kind); }
  }
});

test('at least 100 valid files are accepted, names in the order of the text', async () => {
  const cases = valid();
  assert.ok(cases.length >= 100, `${cases.length} cases`);
  for (const { name, bytes, names } of cases) {
    const st = await openSafetensors(bytes).catch((error: Error) => { throw new Error(`${name}: ${error.message}`); });
    assert.equal(st.names(), names, name);
    for (const tensor of names) {
      const info = st.info(tensor);
      assert.is((await st.getTensor(tensor)).length, info.end - info.begin, name);
    }
  }
});

test('entries in any order tile the data; a table is a read-only map', async () => {
  const random = generator(3);
  const order = Array.from({ length: 3000 }, (_, i) => i).sort(() => random() - 0.5);
  const st = await openSafetensors(file(`{${order.map((i) => `"t${i}":${entry('"U8"', '[1,1]', `[${i},${i + 1}]`)}`).join(',')}}`, 3000));
  assert.equal(st.names(), order.map((i) => `t${i}`));
  assert.equal([...st.tensors.values()].map(({ begin }) => begin), order);
  assert.equal([...st.tensors].slice(0, 1), [[`t${order[0]}`, { dtype: 'U8', shape: [1, 1], begin: order[0], end: order[0]! + 1, file: 'bytes' }]]);
  let sum = 0;
  st.tensors.forEach(({ begin }) => { sum += begin; });
  assert.is(sum, 2999 * 1500);
  assert.is(st.tensors.get('t3000'), undefined);
  assert.is(st.tensors.has('\ud800'), false);
});

test('metadata is unescaped and kept apart', async () => {
  const st = await openSafetensors(file(`{"__metadata__":{"k\\n":"\\u0000\\ud83d\\ude00","__proto__":"x"},"a":${entry()}}`, 4));
  assert.equal([...st.metadata], [['k\n', '\0\ud83d\ude00'], ['__proto__', 'x']]);
  assert.is(st.has('__metadata__'), false);
  assert.is(({} as Record<string, unknown>)['x'], undefined);
});

test('no name reaches a prototype', async () => {
  const before = Object.getOwnPropertyNames(Object.prototype).join();
  for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__', 'isPrototypeOf', 'length', 'get', 'set', 'size']) {
    const st = await openSafetensors(file(`{"__metadata__":{"${name}":"polluted"},"${name}":${entry()}}`, 4));
    assert.equal(st.info(name).shape, [1]);
    assert.equal((await st.read(name)).dtype, 'F32');
    assert.is(st.has('hasOwn'), false);
    assert.throws(() => st.info('isFrozen'), (e: unknown) => e instanceof WeightError && e.code === 'tensor-missing');
  }
  assert.is(Object.getOwnPropertyNames(Object.prototype).join(), before);
});

/** A valid file of about 4 KiB with several dtypes. */
function sample(): Uint8Array<ArrayBuffer> {
  const random = generator(7);
  const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => random() * 256);
  const dtypes: readonly [Dtype, number, number[]][] = [['F32', 4, [7, 9]], ['BF16', 2, [3, 5, 7]], ['I64', 8, [11]], ['F16', 2, [100]], ['U8', 1, [333]], ['BOOL', 1, []], ['F64', 8, [2, 0]], ['F32', 4, [13, 17]]];
  return safetensorsBytes(dtypes.map(([dtype, width, shape], i) => ({ name: `layer.${i}.weight`, dtype, shape, bytes: bytes(width * shape.reduce((a, b) => a * b, 1)) })), { format: 'pt', note: 'sample' });
}

test('cut at every length: always a typed error', async () => {
  const whole = sample();
  assert.is(await verdict(whole), 'accepted');
  for (let length = 0; length < whole.length; length++) assert.is.not(await verdict(whole.subarray(0, length)), 'accepted', `cut to ${length}`);
});

test('every bit of length and header flipped: a typed error, or a file that still tiles exactly', async () => {
  const whole = sample();
  const headerEnd = 8 + new DataView(whole.buffer).getUint32(0, true);
  for (let bit = 0; bit < headerEnd * 8; bit++) {
    const flipped = whole.slice();
    flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
    if ((await verdict(flipped)) !== 'accepted') continue;
    const st = await openSafetensors(flipped);
    const total = [...st.tensors.values()].reduce((sum, t) => sum + t.end - t.begin, 0);
    assert.is(total, whole.length - headerEnd, `bit ${bit}`); // a renamed tensor or another dtype of the same width
  }
});

test('20,000 seeded mutations give only typed errors, each in well under 50 ms', async () => {
  const seeds = [sample(), ...valid().filter((c) => c.bytes.length < 600).map((c) => c.bytes)];
  const tokens = ['{', '}', '[', ']', ',', ':', '"', '\\', '\\u0000', '\\ud800', 'null', '-1', '1e9', '18446744073709551616', '__metadata__', 'dtype', 'shape', 'data_offsets', 'F32', '\0', ' '].map((t) => new TextEncoder().encode(t));
  const random = generator(20_260_101);
  const pick = (n: number): number => Math.floor(random() * n);
  let accepted = 0;
  let slowest = 0;
  for (let i = 0; i < 20_000; i++) {
    let bytes: Uint8Array = seeds[pick(seeds.length)]!.slice();
    for (let changes = 1 + pick(4); changes > 0; changes--) bytes = mutate(bytes, pick, tokens);
    const start = performance.now();
    if ((await verdict(bytes)) === 'accepted') accepted++;
    slowest = Math.max(slowest, performance.now() - start);
  }
  assert.ok(accepted > 0 && accepted < 10_000, `${accepted} accepted: the mutations must reach both sides`);
  assert.ok(slowest < 1000, `slowest ${slowest} ms`); // 50 ms on a quiet machine; a shared one may pause
});

function mutate(bytes: Uint8Array, pick: (n: number) => number, tokens: readonly Uint8Array[]): Uint8Array {
  const headerEnd = Math.min(bytes.length, 8 + (bytes.length >= 8 ? Math.min(bytes.length, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)) : 0));
  const at = pick(3) === 0 ? pick(bytes.length + 1) : pick(headerEnd + 1);
  const out = bytes.slice();
  switch (pick(6)) {
    case 0: if (at < out.length) out[at] = pick(256); return out;
    case 1: if (at < out.length) out[at] = out[at]! ^ (1 << pick(8)); return out;
    case 2: return bytes.slice(0, at);
    case 3: return splice(bytes, at, 0, tokens[pick(tokens.length)]!);
    case 4: return splice(bytes, at, 1 + pick(12), new Uint8Array(0));
    default: return splice(bytes, at, 0, bytes.slice(pick(bytes.length + 1)).subarray(0, 40));
  }
}

/** Replaces bytes and, mostly, corrects the header length, so that the change reaches the parser. */
function splice(bytes: Uint8Array, at: number, drop: number, insert: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.max(0, bytes.length - Math.min(drop, bytes.length - at)) + insert.length);
  out.set(bytes.subarray(0, at));
  out.set(insert, at);
  out.set(bytes.subarray(Math.min(bytes.length, at + drop)), at + insert.length);
  if (out.length >= 8 && bytes.length >= 8 && at >= 8) {
    const view = new DataView(out.buffer);
    view.setUint32(0, Math.max(0, view.getUint32(0, true) + out.length - bytes.length), true);
  }
  return out;
}

test('a header of 200,000 entries is read quickly and into little memory; one above the limit is refused unread', async () => {
  const count = 200_000;
  const bytes = file(`{${Array.from({ length: count }, (_, i) => `"layers.${i}.weight":${entry('"U8"', '[1]', `[${i},${i + 1}]`)}`).join(',')}}`, count);
  let ms = Infinity;
  const clock = (): number => (isNode ? process.cpuUsage().user / 1000 : performance.now()); // what other processes take does not count, where that is known
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = clock();
    const st = await openSafetensors(bytes);
    ms = Math.min(ms, clock() - start);
    assert.is(st.tensors.size, count);
    assert.equal(st.info(`layers.${count - 1}.weight`), { dtype: 'U8', shape: [1], begin: count - 1, end: count, file: 'bytes' });
    assert.is(st.has(`layers.${count}.weight`), false);
  }
  assert.ok(ms < 2000, `${ms} ms`); // about 150 ms alone on one core
  const claim = new Uint8Array(8);
  new DataView(claim.buffer).setBigUint64(0, BigInt(HEADER_LIMIT + 1), true);
  let read = 0;
  const source: ByteSource = { name: 'big', size: 2 * HEADER_LIMIT, read: async (a, b) => { read += b - a; return claim.slice(a, b); }, close: async () => {} };
  assert.is(await openSafetensors(source).then(() => '', (e: WeightError) => e.code), 'header-too-large');
  assert.is(read, 8);
  const limited = await openSafetensors(sample(), { headerLimit: 100 }).then(() => '', (e: WeightError) => e.code);
  assert.is(limited, 'header-too-large');
});

test('no data byte is read before it is asked for, and then only those', async () => {
  const whole = sample();
  const reads: [number, number][] = [];
  let closed = 0;
  const source: ByteSource = { name: 'spy', size: whole.length, read: async (a, b) => { reads.push([a, b]); return whole.slice(a, b); }, close: async () => { closed++; } };
  const st = await openSafetensors(source);
  const dataStart = 8 + new DataView(whole.buffer).getUint32(0, true);
  assert.equal(reads, [[0, 8], [8, dataStart]]);
  const { begin, end } = st.info('layer.1.weight');
  await st.getTensor('layer.1.weight');
  assert.equal(reads[2], [dataStart + begin, dataStart + end]);
  await st.close();
  assert.is(closed, 1);
  await openSafetensors({ ...source, size: whole.length - 1 }).catch(() => {});
  assert.is(closed, 2, 'a source that fails to open is closed');
});

test('reads raw bytes, f32, numbers, and into a target', async () => {
  const values = new Float32Array([1, -0, Infinity, 1e-40]);
  const ids = new BigInt64Array([1n, -2n, 9007199254740991n]);
  const st = await openSafetensors(safetensorsBytes([
    { name: 'w', dtype: 'F32', shape: [2, 2], bytes: new Uint8Array(values.buffer) },
    { name: 'ids', dtype: 'I64', shape: [3], bytes: new Uint8Array(ids.buffer) },
    { name: 'late', dtype: 'I64', shape: [1], bytes: new Uint8Array(new BigInt64Array([2n ** 53n]).buffer) },
  ]));
  assert.equal([...await st.readF32('w')], [1, -0, Infinity, values[3]]);
  assert.equal(await st.readNumbers('ids'), [1, -2, 9007199254740991]);
  const raw = await st.getTensor('w');
  raw.fill(0); // the caller's own: the next read is not touched
  const target = new Uint8Array(16);
  await st.readInto('w', target);
  assert.equal([...toF32(target, 'F32')], [1, -0, Infinity, values[3]]);
  const code = async (run: () => Promise<unknown>): Promise<string> => run().then(() => 'no error', (e: WeightError) => e.code);
  assert.is(await code(() => st.readNumbers('late')), 'number-range');
  assert.is(await code(() => st.readF32('ids')), 'dtype-unsupported');
  assert.is(await code(() => st.getTensor('nothing')), 'tensor-missing');
  assert.is(await code(() => st.readInto('w', new Uint8Array(15))), 'target-size');
  await st.close();
  assert.is(await code(() => st.getTensor('w')), 'source-closed');
});

test('an unaligned F32 tensor in a window of a larger buffer reads right', async () => {
  const bytes = file(`{"x":${entry('"U8"', '[1]', '[0,1]')},"y":${entry('"F32"', '[1]', '[1,5]')}}`, new Uint8Array([9, 0, 0, 0x80, 0x3f]));
  const roomy = new Uint8Array(bytes.length + 10).fill(255);
  roomy.set(bytes, 3);
  const st = await openSafetensors(roomy.subarray(3, 3 + bytes.length));
  assert.equal([...await st.readF32('y')], [1]);
});

test.when(isNode, 'the npm package is loaded from node_modules', 'Node only: the same bytes as the npm package safetensors, for a file without __metadata__', async () => {
  const { createRequire } = await import('node:module');
  const { SafeTensor } = createRequire(import.meta.url)('safetensors') as { SafeTensor: new (bytes: Uint8Array) => { metadata: Map<string, { dtype: string; shape: number[] }>; getTensor(name: string): Uint8Array } };
  const ours = await openSafetensors(sample());
  const entries = await Promise.all(ours.names().map(async (name) => ({ name, ...await ours.read(name) })));
  const bare = safetensorsBytes(entries); // theirs throws on __metadata__
  const [st, theirs] = [await openSafetensors(bare), new SafeTensor(bare)];
  assert.equal([...theirs.metadata.keys()].sort(), st.names().sort());
  for (const [name, { dtype, shape }] of theirs.metadata) {
    assert.equal([dtype, shape], [st.info(name).dtype, [...st.info(name).shape]]);
    assert.equal([...theirs.getTensor(name)], [...await st.getTensor(name)]);
  }
});

test.when(isNode, 'walks a folder of files', 'Node only: reference files of test/golden open, and rewriting it gives the same tensors', async () => {
  const { readdir } = await import('node:fs/promises');
  const root = await goldenFolder();
  const files = (await readdir(root, { recursive: true })).filter((name) => /^(?:infonce|predictor.tiny-a|text.tiny-a|vision.tiny-b)\b.*\.safetensors$/.test(name)); // of every dtype and kind, without the large ones
  assert.ok(files.length > 0);
  for (const name of files) {
    const st = await openCheckpoint(`${root}/${name}`);
    const entries = await Promise.all(st.names().map(async (tensor) => ({ name: tensor, ...await st.read(tensor) })));
    const again = await openSafetensors(safetensorsBytes(entries, st.metadata));
    assert.equal([...again.metadata].sort(), [...st.metadata].sort());
    for (const { name: tensor, bytes } of entries) assert.ok(same(bytes, await again.getTensor(tensor)), `${name} ${tensor}`);
    await st.close();
  }
});

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** test/golden of the sources, whether the tests run from there or from a build folder beside it. */
async function goldenFolder(): Promise<string> {
  const { existsSync } = await import('node:fs');
  const { fileURLToPath } = await import('node:url');
  for (const up of ['../golden', '../../../test/golden']) {
    const path = fileURLToPath(new URL(up, import.meta.url));
    if (existsSync(path)) return path;
  }
  throw new Error('test/golden is missing');
}

test.run();
