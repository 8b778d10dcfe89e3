// The writer: bytes that read back the same, and files that are whole or not there, whatever call fails.

import { DTYPE_BITS, fromF32, type Dtype } from '../../weights/dtype.ts';
import { encodeSafetensors, safetensorsBytes, type TensorEntry } from '../../weights/encode.ts';
import { WeightError } from '../../weights/error.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { removeStaleTemporaries, writeFileAtomic, writeSafetensors, type WriterFs } from '../../weights/writer.ts';
import { assert, generator, isNode, suite } from '../harness.ts';
import { FaultFs } from './fault_fs.ts';

const test = suite('weights: writer');
const PATH = '/run/model.safetensors';
const OLD = new TextEncoder().encode('the old file');
const ENTRIES: readonly TensorEntry[] = [
  { name: 'b', dtype: 'F32', shape: [2, 3], bytes: fromF32(Float32Array.of(1, 2, 3, 4, 5, 6), 'F32') },
  { name: 'a', dtype: 'BF16', shape: [3], bytes: fromF32(Float32Array.of(1, 2, 3), 'BF16') },
];

async function failure(run: Promise<unknown>): Promise<WeightError> {
  try { await run; } catch (error) { if (error instanceof WeightError) return error; throw error; }
  throw new Error('expected a WeightError');
}

test('sorted by falling width then name, padded to 8, and the same for any order of entries', async () => {
  const of = (name: string, dtype: Dtype): TensorEntry => ({ name, dtype, shape: [1], bytes: new Uint8Array(DTYPE_BITS[dtype] / 8) });
  const entries = [of('z', 'U8'), of('\uffff', 'F32'), of('\ud83d\ude00', 'F32'), of('m', 'F16'), of('b', 'I32'), of('a', 'I64'), of('bb', 'F32'), of('n', 'BF16')];
  const bytes = safetensorsBytes(entries, { z: '1', a: '2' });
  const st = await openSafetensors(bytes);
  assert.equal(st.names(), ['a', 'b', 'bb', '\uffff', '\ud83d\ude00', 'm', 'n', 'z']); // by code point: U+FFFF before U+1F600
  assert.equal([...st.metadata], [['a', '2'], ['z', '1']]);
  const headerLength = new DataView(bytes.buffer).getUint32(0, true);
  assert.is(headerLength % 8, 0);
  for (const info of st.tensors.values()) assert.is(info.begin % (DTYPE_BITS[info.dtype] / 8), 0);
  assert.equal(safetensorsBytes(entries.reverse(), new Map([['a', '2'], ['z', '1']])), bytes);
  const { chunks, totalBytes } = encodeSafetensors(entries);
  assert.is(chunks.reduce((sum, chunk) => sum + chunk.length, 0), totalBytes);
});

test('random checkpoints of all dtypes read back byte for byte', async () => {
  const random = generator(11);
  const pick = (n: number): number => Math.floor(random() * n);
  const dtypes = Object.keys(DTYPE_BITS) as Dtype[];
  for (let round = 0; round < 300; round++) {
    const entries = Array.from({ length: pick(12) }, (_, i): TensorEntry => {
      const dtype = dtypes[pick(dtypes.length)]!;
      const shape = Array.from({ length: pick(4) }, () => pick(5));
      shape.push(8); // whole bytes for the packed ones
      return { name: `${['', '\u00e9', '"\\', '\ud83d\ude00', '\uffff/'][pick(5)]!}${i}`, dtype, shape, bytes: Uint8Array.from({ length: (shape.reduce((a, b) => a * b) * DTYPE_BITS[dtype]) / 8 }, () => pick(256)) };
    });
    const metadata = new Map(Array.from({ length: pick(3) }, (_, i): [string, string] => [`k${i}\n`, `v\u2028${pick(9)}`]));
    const st = await openSafetensors(safetensorsBytes(entries, metadata));
    assert.is(st.tensors.size, entries.length);
    assert.equal([...st.metadata], [...metadata].sort());
    for (const { name, dtype, shape, bytes } of entries) assert.equal(await st.read(name), { dtype, shape, bytes });
  }
});

test('what the reader would refuse is never written', async () => {
  const good = ENTRIES[0]!;
  const bad: readonly [string, TensorEntry[], unknown?][] = [
    ['twice', [good, good]], ['reserved name', [{ ...good, name: '__metadata__' }]], ['control character', [{ ...good, name: 'a\n' }]], ['long name', [{ ...good, name: 'n'.repeat(4097) }]],
    ['lone surrogate', [{ ...good, name: '\ud800' }]], ['short bytes', [{ ...good, bytes: good.bytes.subarray(1) }]], ['long bytes', [{ ...good, shape: [5] }]],
    ['floats for bytes', [{ ...good, bytes: new Float32Array(24) as unknown as Uint8Array }]], ['unknown dtype', [{ ...good, dtype: 'F31' as Dtype }]], ['inherited dtype', [{ ...good, dtype: 'toString' as Dtype }]],
    ['fraction', [{ ...good, shape: [1.5] }]], ['negative', [{ ...good, shape: [-1] }]], ['33 dims', [{ ...good, shape: Array<number>(33).fill(1) }]], ['overflow', [{ ...good, shape: [2 ** 53 - 1, 2] }]], ['half a byte', [{ ...good, dtype: 'F4', shape: [1], bytes: new Uint8Array(1) }]],
    ['name is a number', [{ ...good, name: 3 as unknown as string }]], ['number in metadata', [good], { a: 1 }], ['surrogate in metadata', [good], { a: '\udfff' }],
  ];
  for (const [name, entries, metadata] of bad) {
    const fs = new FaultFs();
    assert.is((await failure(writeSafetensors(PATH, entries, metadata as Record<string, string>, { fs }))).code, 'write-entry', name);
    assert.is(fs.calls, 0, `${name}: nothing was touched`);
    assert.throws(() => encodeSafetensors(entries, metadata as Record<string, string>), (e: unknown) => e instanceof WeightError && e.code === 'write-entry');
  }
});

test.when(isNode, 'writing files', 'Node only: the order of calls is the save protocol', async () => {
  const fs = new FaultFs();
  const written = await writeSafetensors(PATH, ENTRIES, {}, { fs });
  assert.equal(fs.log, ['stat', 'open wx+', 'write', 'write', 'write', 'sync', 'fstat', 'read', 'close', 'rename', 'open r', 'sync', 'close']);
  assert.equal([...fs.files.keys()], [PATH]);
  assert.equal(fs.files.get(PATH), safetensorsBytes(ENTRIES));
  const { createHash } = await import('node:crypto');
  assert.equal(written, { path: PATH, bytes: fs.files.get(PATH)!.length, sha256: createHash('sha256').update(fs.files.get(PATH)!).digest('hex') });
});

test.when(isNode, 'writing files', 'Node only: short writes are continued until every byte is there', async () => {
  for (const writeLimit of [1, 3, 7, 64]) {
    const fs = new FaultFs();
    fs.writeLimit = writeLimit;
    await writeSafetensors(PATH, ENTRIES, {}, { fs });
    assert.equal(fs.files.get(PATH), safetensorsBytes(ENTRIES));
  }
  const fs = new FaultFs();
  fs.writeLimit = 0;
  const error = await failure(writeFileAtomic(PATH, OLD, { fs }));
  assert.is(error.code, 'write-failed');
  assert.is(fs.files.size, 0);
});

test.when(isNode, 'writing files', 'Node only: whichever call fails, the path holds the whole old or the whole new file and no temporary stays', async () => {
  for (const code of ['ENOSPC', 'EIO', 'EDQUOT', 'EROFS']) {
    let failures = 0;
    for (let at = 1; ; at++) {
      const fs = new FaultFs();
      fs.files.set(PATH, OLD);
      fs.writeLimit = 50;
      fs.fault = { at, code };
      let error: WeightError | undefined;
      try { await writeSafetensors(PATH, ENTRIES, {}, { fs }); } catch (e) { if (!(e instanceof WeightError)) throw e; error = e; }
      assert.equal([...fs.files.keys()], [PATH], `call ${at}: no temporary`);
      if (fs.calls < at) { assert.is(error, undefined); break; } // a whole pass without the fault: every call was tried
      failures++;
      assert.is(error?.code, 'write-failed', `call ${at}`);
      assert.ok(error!.message.includes(PATH) && error!.message.includes(code), error!.message);
      const renamed = fs.log.slice(0, -1).includes('rename') && fs.log[at - 1] !== 'rename';
      assert.equal(fs.files.get(PATH), renamed ? safetensorsBytes(ENTRIES) : OLD, `call ${at}: ${error!.message}`);
    }
    assert.ok(failures >= 15, `${failures} calls`);
  }
});

test.when(isNode, 'writing files', 'Node only: on a disk that stays dead the old file stays and the message names the temporary left behind', async () => {
  for (let at = 1; at <= 10; at++) {
    const fs = new FaultFs();
    fs.files.set(PATH, OLD);
    fs.fault = { at, code: 'EIO', forEver: true };
    const error = await failure(writeSafetensors(PATH, ENTRIES, {}, { fs }));
    assert.is(error.code, 'write-failed');
    assert.equal(fs.files.get(PATH), OLD);
    for (const name of fs.files.keys()) if (name !== PATH) assert.match(error.message, name);
    fs.fault = undefined;
    await removeStaleTemporaries('/run', { fs });
    assert.equal([...fs.files.keys()], [PATH]);
    await writeSafetensors(PATH, ENTRIES, {}, { fs }); // the next save succeeds
  }
});

test.when(isNode, 'writing files', 'Node only: a disk that gives back other bytes than it took is noticed', async () => {
  const fs = new FaultFs();
  fs.files.set(PATH, OLD);
  fs.corrupt = (bytes) => { bytes[bytes.length - 1] = bytes[bytes.length - 1]! ^ 1; };
  assert.is((await failure(writeSafetensors(PATH, ENTRIES, {}, { fs }))).code, 'write-verify');
  assert.equal([...fs.files], [[PATH, OLD]]);
});

test.when(isNode, 'writing files', 'Node only: bytes made late are asked for one after the other; a failing or lying one leaves the old file', async () => {
  const order: string[] = [];
  const lazy = ENTRIES.map((entry) => ({ ...entry, bytes: async () => { order.push(entry.name); return entry.bytes; } }));
  const fs = new FaultFs();
  await writeSafetensors(PATH, lazy, { format: 'pt' }, { fs });
  assert.equal(order, ['b', 'a']);
  assert.equal(fs.files.get(PATH), safetensorsBytes(ENTRIES, { format: 'pt' }));
  const inPieces = (bytes: Uint8Array, change = 0) => async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length + change; at++) yield at < bytes.length ? bytes.slice(at, at + 1) : new Uint8Array(1);
  };
  await writeSafetensors(PATH, ENTRIES.map((entry) => ({ ...entry, bytes: inPieces(entry.bytes) })), { format: 'pt' }, { fs });
  assert.equal(fs.files.get(PATH), safetensorsBytes(ENTRIES, { format: 'pt' }));
  const broken = new FaultFs();
  broken.files.set(PATH, OLD);
  for (const change of [-1, 1]) assert.is((await failure(writeSafetensors(PATH, ENTRIES.map((entry) => ({ ...entry, bytes: inPieces(entry.bytes, change) })), {}, { fs: broken }))).code, 'write-entry');
  assert.is((await failure(writeSafetensors(PATH, [{ ...lazy[0]!, bytes: async () => new Uint8Array(3) }], {}, { fs: broken }))).code, 'write-entry');
  const error = await failure(writeSafetensors(PATH, [{ ...lazy[0]!, bytes: async () => { throw new Error('device lost'); } }], {}, { fs: broken }));
  assert.is(error.code, 'write-failed');
  assert.match(error.message, 'device lost');
  assert.equal([...broken.files], [[PATH, OLD]]);
});

test.when(isNode, 'writing files', 'Node only: real files, replaced whole; what is no regular file is never replaced', async () => {
  const { mkdtemp, readFile, readdir, mkdir, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const root = await mkdtemp(join(tmpdir(), 'vl-jepa-weights-'));
  try {
    const path = join(root, 'model.safetensors');
    await writeFileAtomic(path, 'old');
    const { bytes, sha256 } = await writeSafetensors(path, ENTRIES, { format: 'pt' });
    assert.equal(new Uint8Array(await readFile(path)), safetensorsBytes(ENTRIES, { format: 'pt' }));
    assert.is(bytes, (await readFile(path)).length);
    assert.match(sha256, /^[0-9a-f]{64}$/);
    const st = await openSafetensors(path);
    assert.equal([...await st.readF32('a')], [1, 2, 3]);
    await st.close();
    await writeFileAtomic(join(root, 'state.json'), '{"\u00e9":1}');
    assert.is(await readFile(join(root, 'state.json'), 'utf8'), '{"\u00e9":1}');
    await writeFileAtomic(join(root, 'empty'), new Uint8Array(0));
    await mkdir(join(root, 'folder'));
    for (const target of [join(root, 'folder'), join(root, 'absent/x'), '/dev/null']) {
      const error = await failure(writeFileAtomic(target, 'x'));
      assert.is(error.code, 'write-failed');
      assert.match(error.message, target);
    }
    assert.equal((await readdir(root)).sort(), ['empty', 'folder', 'model.safetensors', 'state.json']);
  } finally {
    await rm(root, { recursive: true });
  }
});

test.when(isNode, 'writing files', 'Node only: stale temporaries are removed, those of living processes and other files are not', async () => {
  const fs = new FaultFs();
  const dead = 4_000_000_000; // beyond any pid
  const keep = [`.tmp-${process.ppid}-0123456789abcdef`, '.tmp-x', 'model.safetensors', `.tmp-${dead}-short`, `x.tmp-${dead}-0123456789abcdef`];
  const stale = [`.tmp-${dead}-0123456789abcdef`, `.tmp-${process.pid}-0123456789abcdef`];
  for (const name of [...keep, ...stale]) fs.files.set(`/run/${name}`, OLD);
  assert.equal((await removeStaleTemporaries('/run', { fs })).sort(), stale.sort());
  assert.equal([...fs.files.keys()].map((p) => p.slice(5)), keep);
  let during: string[] = ['not run'];
  await writeSafetensors(PATH, [{ ...ENTRIES[0]!, bytes: async () => { during = await removeStaleTemporaries('/run', { fs }); return ENTRIES[0]!.bytes; } }], {}, { fs });
  assert.equal(during, [], 'the one being written stays');
  assert.is((await failure(removeStaleTemporaries('/run', { fs: Object.assign(new FaultFs(), { fault: { at: 1, code: 'EACCES' } }) }))).code, 'io');
});

const hasFullDevice = isNode && (await import('node:fs')).existsSync('/dev/full');

test.when(hasFullDevice, 'there is no /dev/full', 'Node only: the always-full device gives ENOSPC with path and reason', async () => {
  const real = await import('node:fs/promises');
  const full: WriterFs = { open: (path, flags) => (flags === 'r' ? real.open(path, flags) : real.open('/dev/full', 'r+')), rename: real.rename, unlink: async () => {}, readdir: real.readdir, stat: real.stat };
  const error = await failure(writeFileAtomic('/nowhere/model.safetensors', OLD, { fs: full }));
  assert.is(error.code, 'write-failed');
  assert.match(error.message, 'ENOSPC');
  assert.match(error.message, '/nowhere/model.safetensors');
  assert.match(error.message, 'the old file stays');
});

test.run();
