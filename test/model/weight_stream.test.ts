// Loading: every way to hold weights against the official values, streaming through small buffers, tables above the binding limit, cancelling.
import { openDevice } from '../../engine/device.ts';
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { CHUNK_BYTES, UploadRing } from '../../engine/upload_ring.ts';
import { embedding } from '../../kernels/embedding.ts';
import { quantize } from '../../kernels/quantize.ts';
import { loadParams } from '../../model/params.ts';
import type { Progress, TensorSpec } from '../../model/params.ts';
import { Predictor } from '../../model/predictor.ts';
import { TextEncoder } from '../../model/text_encoder.ts';
import { VisionEncoder } from '../../model/vision_encoder.ts';
import type { WeightDtype } from '../../model/weight_stream.ts';
import { bf16ToF32, f32ToBf16, f32ToF16 } from '../../weights/dtype.ts';
import { folderSource } from '../../weights/folder.ts';
import type { FileContent } from '../../weights/folder.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import type { Safetensors } from '../../weights/safetensors.ts';
import { safetensorsBytes } from '../../weights/writer.ts';
import { assert, close, device, isNode, random, suite } from '../harness.ts';
import { compareLayers, goldenFolder, goldenTensors, pick, upload, uploadU32 } from './golden.ts';

const test = suite('weight stream');

/** What rounding weights may cost on these networks (the residual of the text encoder reaches hundreds of thousands, its error is relative). */
const LIMITS: Readonly<Record<WeightDtype, number>> = { f32: 1e-10, stored: 1e-10, bf16: 1e-4, f16: 1e-6, int8: 1e-3 };

type Case = readonly [network: 'vision' | 'predictor' | 'text', name: string];
const CASES: readonly Case[] = [['vision', 'tiny-a'], ['vision', 'image'], ['predictor', 'tiny-a'], ['predictor', 'tiny-b'], ['text', 'tiny-a'], ['text', 'tiny-b']];

async function worst([network, name]: Case, dtype: WeightDtype, folder = goldenFolder(`${network}/${name}`)): Promise<number> {
  const d = await device();
  const inputs = await goldenTensors(`${network}/${name}`, 'inputs');
  const expected = await goldenTensors(`${network}/${name}`, 'expected');
  const results = new Map<string, Tensor>();
  const run = (forward: (trace: (name: string, value: Tensor) => void) => Tensor): void => {
    scope(() => noGrad(() => {
      results.set('last_hidden_state', forward((layer, value) => results.set(layer, value)));
      return [...results.values()];
    }));
  };
  const mask = network === 'vision' ? undefined : pick(inputs, 'attention_mask');
  const loaded = network === 'vision' ? await VisionEncoder.load(d, folder, { dtype }) : network === 'predictor' ? await Predictor.load(d, folder, { dtype, tokens: false }) : await TextEncoder.load(d, folder, { dtype });
  if (loaded instanceof VisionEncoder) run((trace) => loaded.forward(upload(d, pick(inputs, 'pixel_values')), { trace }));
  else if (loaded instanceof Predictor) run((trace) => loaded.forward(upload(d, pick(inputs, 'inputs_embeds')), { trace, mask: uploadU32(d, mask!) }));
  else run((trace) => loaded.forward(uploadU32(d, pick(inputs, 'input_ids')), { trace, mask: uploadU32(d, mask!) }));
  const error = await compareLayers(results, expected, LIMITS[dtype], mask?.values);
  for (const t of [...results.values(), ...loaded.params.entries().map(([, p]) => p)]) t.dispose();
  return error;
}

for (const of of CASES) {
  const dtypes = isNode ? (['stored', 'bf16', 'f16', 'int8'] as const) : (['int8'] as const); // a page compiles for seconds what Node has run on the same adapter
  test(`${of.join(' ')}: every layer, with weights as ${dtypes.join(', ')}`, async () => {
    for (const dtype of dtypes) assert.ok(await worst(of, dtype) <= LIMITS[dtype], dtype);
  });
}

/** A folder like the golden one whose matrices hold bf16 (or f16) values exactly, as f32 or packed. */
async function rounded(of: Case, stored: 'F32' | 'BF16' | 'F16', to: 'BF16' | 'F16'): Promise<ReadonlyMap<string, FileContent>> {
  const folder = goldenFolder(of.join('/'));
  const source = (await folder.open('model.safetensors'))!;
  const checkpoint = await openSafetensors(source);
  const entries = [];
  for (const name of checkpoint.names()) {
    const bits = (to === 'BF16' ? f32ToBf16 : f32ToF16)(await checkpoint.readF32(name));
    const bytes = stored === 'F32' ? new Uint8Array((to === 'BF16' ? bf16ToF32(bits) : Float32Array.from(bits)).buffer) : new Uint8Array(bits.buffer);
    entries.push({ name, dtype: stored, shape: checkpoint.info(name).shape, bytes });
  }
  await checkpoint.close();
  const config = (await folder.readText('config.json'))!;
  return new Map<string, FileContent>([['config.json', utf8(config)], ['model.safetensors', safetensorsBytes(entries)]]);
}
const utf8 = (text: string): Uint8Array => new globalThis.TextEncoder().encode(text);

test('a bf16 file gives the same bits packed and unpacked', async () => {
  const d = await device();
  const of: Case = ['vision', 'tiny-a'];
  const pixels = upload(d, pick(await goldenTensors('vision/tiny-a', 'inputs'), 'pixel_values'));
  const outputs = [];
  for (const [stored, dtype] of [['F32', 'f32'], ['BF16', 'f32'], ['BF16', 'stored']] as const) {
    const encoder = await VisionEncoder.load(d, folderSource(await rounded(of, stored, 'BF16')), { dtype });
    assert.is(encoder.params.get('encoder.layer.0.mlp.fc1.weight').dtype, dtype === 'stored' ? 'bf16' : 'f32');
    assert.is(encoder.params.get('encoder.layer.0.norm1.weight').dtype, 'f32');
    outputs.push(await scope(() => noGrad(() => encoder.forward(pixels))).read());
    for (const [, t] of encoder.params.entries()) t.dispose();
  }
  assert.equal(outputs[1], outputs[0]);
  close(outputs[2]!, outputs[0]!, { nmse: 1e-13, name: 'packed' });
  pixels.dispose();
});

const spec = (name: string, shape: readonly number[], kind: TensorSpec['kind'] = 'linear'): TensorSpec => ({ name, shape, kind });

/** One tensor [rows, width] in memory. */
async function file(values: Float32Array, shape: readonly number[], dtype: 'F32' | 'BF16' = 'F32'): Promise<Safetensors> {
  return openSafetensors(safetensorsBytes([{ name: 'w', dtype, shape, bytes: new Uint8Array((dtype === 'F32' ? values : f32ToBf16(values)).buffer) }]));
}

test('tensors larger than a staging buffer arrive whole, odd ones too', async () => {
  const d = await device();
  for (const shape of [[2501, 1021], [1, 3], [3], [0, 4]]) {
    const n = shape.reduce((a, b) => a * b, 1);
    const values = random([n], 3);
    const checkpoint = await file(values, shape);
    const f32 = await loadParams(d, checkpoint, [spec('w', shape)]);
    assert.equal(await f32.get('w').read(), values);
    const bf16 = await loadParams(d, checkpoint, [spec('w', shape)], { dtype: 'bf16' });
    assert.equal(await bf16.get('w').readBits(), f32ToBf16(values));
    for (const p of [f32, bf16]) p.get('w').dispose();
  }
  assert.ok(2501 * 1021 * 4 > CHUNK_BYTES, 'the first one takes more than one buffer');
});

/** Moves what lies nearly halfway between two levels of its block: a division that is off by a digit may round it either way. */
function leaveHalfway(values: Float32Array, block: number): void {
  for (let from = 0; from < values.length; from += block) {
    const part = values.subarray(from, from + block);
    const scale = part.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127;
    if (scale > 0) part.forEach((v, i) => { if (Math.abs(v / scale - Math.floor(v / scale) - 0.5) < 1e-3) part[i] = scale * (Math.floor(v / scale) + 0.3); });
  }
}

test('int8 blocks are those of the op quantize', async () => {
  const d = await device();
  for (const [k, block] of [[129, 129], [136, 8], [144, 16], [3600, 16]] as const) { // the last takes more than one buffer
    const shape = [301, k];
    const values = random([301 * k], 5);
    values.fill(0, k, 2 * k); // a row of zeros
    values[3] = 40;
    leaveHalfway(values, block);
    const params = await loadParams(d, await file(values, shape), [spec('w', shape)], { dtype: 'int8' });
    assert.is(params.get('w').block, block);
    const ids = Tensor.from(d, Uint32Array.from({ length: 301 }, (_, i) => i));
    const whole = Tensor.from(d, values, shape);
    close(await embedding(params.get('w'), ids).read(), await embedding(quantize(whole, { block }), ids).read(), { rel: 1e-6, name: `rows of ${k}` }); // an adapter's division may be off by a digit
    for (const t of [params.get('w'), whole, ids]) t.dispose();
  }
});

test('a token table above the binding limit comes in parts, a matrix is refused', async () => {
  const d = await openDevice({ limits: 'default' });
  const shape = [70_001, 512]; // 143 MB as f32, above the 128 MiB that every device has
  const values = new Float32Array(shape[0]! * shape[1]!);
  for (const row of [0, 1, 65_000, 65_663, 65_664, 70_000]) values.fill(row + 0.5, row * 512, row * 512 + 512);
  const checkpoint = await file(values, shape, 'BF16');
  const params = await loadParams(d, checkpoint, [spec('w', shape, 'embedding')]);
  assert.equal(params.table('w').map((t) => t.shape[0]), [65_536, 4465]);
  const rows = [0, 1, 65_535, 65_536, 65_663, 70_000];
  const got = await embedding(params.table('w'), rows).read();
  const exact = bf16ToF32(f32ToBf16(values));
  rows.forEach((row, i) => assert.is(got[i * 512], exact[row * 512], `row ${row}`));
  const refused = await loadParams(d, checkpoint, [spec('w', shape)]).then(() => 'loaded', (e: Error) => e.message);
  assert.match(refused, /w \[70001, 512\] takes 143362048 bytes, expected at most 134217728 \(the device's storage binding limit; load it as bf16 or int8\)/);
  d.destroy();
});

test('progress counts every byte; a cancelled or broken load leaves nothing on the device', async () => {
  const d = await device();
  const shape = [1000, 5000];
  const checkpoint = await file(random([5_000_000], 1), shape);
  const events: Progress[] = [];
  const params = await loadParams(d, checkpoint, [spec('w', shape)], { progress: (e) => events.push(e) });
  params.get('w').dispose();
  const last = events.at(-1)!;
  assert.is(last.status, 'done');
  assert.is(last.loaded, 20_000_000);
  assert.is(last.total, 20_000_000);
  assert.ok(events.length >= 4 && events.every((e, i) => i === 0 || e.loaded >= events[i - 1]!.loaded), 'it never goes back');
  assert.ok(events[0]!.bytesPerSecond > 0 && events[0]!.secondsLeft >= 0 && last.readMs >= 0 && last.uploadMs > 0, 'rates');
  const before = d.memory();
  const stop = new AbortController();
  const cancelled = await loadParams(d, checkpoint, [spec('w', shape)], { signal: stop.signal, progress: () => stop.abort(new Error('enough')) }).then(() => 'loaded', (e: Error) => e.message);
  assert.is(cancelled, 'enough');
  await checkpoint.close();
  const closed = await loadParams(d, checkpoint, [spec('w', shape)]).then(() => 'loaded', (e: Error) => e.message);
  assert.match(closed, /read after close/);
  const wide = await openSafetensors(safetensorsBytes([{ name: 'w', dtype: 'F64', shape: [2], bytes: new Uint8Array(16) }]));
  assert.match(await loadParams(d, wide, [spec('w', [2])]).then(() => 'loaded', (e: Error) => e.message), /F64 does not fit f32 exactly/);
  assert.match(await loadParams(d, wide, [spec('w', [2])], { dtype: 'half' as 'f16' }).then(() => 'loaded', (e: Error) => e.message), /dtype is "half", expected one of f32, bf16, f16, int8, stored/);
  const after = d.memory();
  assert.equal([after.liveBytes, after.liveTensors], [before.liveBytes, before.liveTensors]);
});

test.when(isNode, 'needs a file', 'a file that shrinks while it is read is an error that says so', async () => {
  const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
  const { truncateSync } = await import('node:fs');
  const folder = await mkdtemp(`${(await import('node:os')).tmpdir()}/vl-jepa-stream-`);
  const shape = [3000, 4000];
  await writeFile(`${folder}/a.safetensors`, safetensorsBytes([{ name: 'w', dtype: 'F32', shape, bytes: new Uint8Array(48_000_000) }]));
  const checkpoint = await openSafetensors(`${folder}/a.safetensors`);
  const d = await device();
  const before = d.memory().liveTensors;
  const failed = await loadParams(d, checkpoint, [spec('w', shape)], { progress: () => truncateSync(`${folder}/a.safetensors`, 20_000_000) }).then(() => 'loaded', (e: Error) => e.message);
  assert.match(failed, /the file ends at 20000000, expected .* bytes \(it shrank after it was opened\)/);
  assert.is(d.memory().liveTensors, before);
  await checkpoint.close();
  await rm(folder, { recursive: true });
});

test('the ring refuses ranges outside the tensor, and a lost device is a typed error', async () => {
  const d = await openDevice();
  const ring = new UploadRing(d);
  const t = Tensor.from(d, Float32Array.of(1, 2, 3, 4));
  const fails = (offset: number, bytes: number): Promise<string> => ring.write(t, offset, bytes, () => {}).then(() => 'written', (e: Error) => e.message);
  for (const [offset, bytes] of [[0, 20], [16, 4], [2, 4], [-4, 4], [0, CHUNK_BYTES + 4]] as const) assert.match(await fails(offset, bytes), /upload: .* bytes at .*, expected at most/);
  await ring.write(t, 8, 4, (to) => to.set(new Uint8Array(Float32Array.of(9).buffer)));
  assert.equal([...await t.read()], [1, 2, 9, 4]);
  d.destroy();
  assert.match(await fails(0, 4), /device: it was (destroyed|lost)/);
  ring.dispose();
});

test.run();
