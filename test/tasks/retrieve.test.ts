import { Tensor } from '../../engine/tensor.ts';
import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import type { Picture } from '../../model/vl_jepa.ts';
import { answerBank, ask } from '../../tasks/ask.ts';
import { classify, ensembleBank, labelBank, labelScores } from '../../tasks/classify.ts';
import { topK } from '../../tasks/metrics.ts';
import { nearest } from '../../tasks/nearest.ts';
import { retrieve, retrieveTexts } from '../../tasks/retrieve.ts';
import { exactSearcher, importUsearch, openSearcher, usearchSearcher } from '../../tasks/searcher.ts';
import type { UsearchModule } from '../../tasks/searcher.ts';
import { digests, modelFingerprint } from '../../tasks/model_fingerprint.ts';
import { encodeIndex, readIndex } from '../../tasks/vector_index.ts';
import type { VectorIndex } from '../../tasks/vector_index.ts';
import { TINY } from '../../train/presets.ts';
import { assert, close, device, generator, random, setPoison, suite } from '../harness.ts';

const test = suite('retrieval');

const tiny = async (seed: number): Promise<VLJEPA> => VLJEPA.fromConfig(TINY.model, { device: await device(), seed, init: TINY.init as never, tokenizer: await loadTokenizerJson() });
function pictures(n: number): Picture[] {
  const next = generator(n);
  return Array.from({ length: n }, () => ({ width: 20, height: 20, data: Uint8Array.from({ length: 1200 }, () => Math.floor(256 * next())) }));
}
/** Unit rows. */
function unitRows(count: number, dim: number, seed: number): Float32Array {
  const rows = random([count, dim], seed);
  for (let i = 0; i < count; i++) {
    const norm = Math.hypot(...rows.subarray(i * dim, (i + 1) * dim));
    for (let d = 0; d < dim; d++) rows[i * dim + d]! /= norm;
  }
  return rows;
}
const rejects = async (work: () => Promise<unknown>, said: RegExp): Promise<void> => {
  let error: unknown;
  await work().catch(e => { error = e; });
  assert.match((error as Error | undefined)?.message ?? 'nothing was thrown', said);
};

test('nearest is exact: in one piece, in chunks, in parts, and with k above the rows', async () => {
  const d = await device();
  const [q, n, dim] = [5, 700, 12];
  const [queries, gallery] = [unitRows(q, dim, 1), unitRows(n, dim, 2)];
  gallery.set(gallery.subarray(0, dim), 640 * dim); // a row that is there twice: the first one wins
  const truth = Array.from({ length: q }, (_, i) => topK(Array.from({ length: n }, (_, j) => Array.from({ length: dim }, (_, k) => queries[i * dim + k]! * gallery[j * dim + k]!).reduce((a, b) => a + b, 0)), 8));
  const tensor = Tensor.from(d, gallery, [n, dim]);
  const parts = [[0, 256], [256, 257], [257, n]].map(([a, b]) => Tensor.from(d, gallery.subarray(a! * dim, b! * dim), [b! - a!, dim]));
  for (const [place, options] of [[tensor, {}], [tensor, { workspaceBytes: 4 * q * 64 }], [parts, {}]] as const) {
    const hits = await nearest(Tensor.from(d, queries, [q, dim]), place, 8, options);
    assert.equal(hits.map(list => list.map(h => h.index)), truth.map(list => list.map(h => h.index)));
    close(hits.flat().map(h => h.score), truth.flat().map(h => h.score), { abs: 1e-5, name: 'cosines' });
  }
  assert.is((await nearest(Tensor.from(d, queries, [q, dim]), Tensor.from(d, gallery.subarray(0, 3 * dim), [3, dim]), 10))[0]!.length, 3);
  assert.equal(await nearest(Tensor.from(d, queries, [q, dim]), Tensor.empty(d, [0, dim]), 4), [[], [], [], [], []]);
  await rejects(() => nearest(Tensor.from(d, queries, [q, dim]), tensor, 0), /nearest: k is 0/);
  await rejects(() => nearest(Tensor.from(d, queries, [q, dim]), Tensor.zeros(d, [4, 5]), 1), /gallery has shape \[4, 5\], expected \[\*, 12\]/);
});

test('classify, both directions of retrieval and ask agree with the matrix of cosines, and leave nothing behind', async () => {
  const model = await tiny(3);
  const shown = pictures(4);
  const bank = labelBank(model, ['a cat', 'a dog', 'red apple']);
  const predictions = model.predict(shown);
  const scores = await labelScores(model, predictions, bank);
  const all = async (): Promise<void> => {
    const best = await classify(model, predictions, bank, { k: 2 });
    assert.equal(best.map(b => b.map(x => x.label)), Array.from({ length: 4 }, (_, p) => topK(scores.subarray(p * 3, p * 3 + 3), 2).map(({ index }) => bank.labels[index]!)));
    assert.equal(await retrieveTexts(model, predictions, bank, 2), best);
    assert.equal(await classify(model, shown, bank, { k: 2 }), best, 'pictures as well as predictions');
    const [back] = await retrieve(model, ['a dog'], predictions, 4);
    assert.equal(back!.map(h => h.index), topK(Array.from({ length: 4 }, (_, p) => scores[p * 3 + 1]!), 4).map(h => h.index));
    const asked = model.predict(shown, 'What is this?');
    assert.equal(await ask(model, shown, 'What is this?', bank, 1), await classify(model, asked, bank, { k: 1 }));
    asked.dispose();
  };
  for (let warm = 0; warm < 3; warm++) await all(); // passes are recorded when they come again
  const before = model.device.liveTensors;
  await all();
  assert.is(model.device.liveTensors, before);
  model.dispose();
});

test('an ensemble of one plain template is the plain bank; of several, unit vectors', async () => {
  const model = await tiny(3);
  const [plain, one, many] = [labelBank(model, ['a cat', 'a dog']), await ensembleBank(model, ['a cat', 'a dog'], ['{name}']), await ensembleBank(model, ['cat', '$& dog'], ['a {name}', 'picture of {name}'])];
  close(await one.vectors.read(), await plain.vectors.read(), { abs: 1e-6, name: 'one template' });
  const values = await many.vectors.read();
  const dim = values.length / 2;
  for (const c of [0, 1]) close([values.subarray(c * dim, (c + 1) * dim).reduce((s, v) => s + v * v, 0)], [1], { abs: 1e-6, name: 'length' });
  await rejects(() => ensembleBank(model, ['a'], ['a photo']), /a template has no \{name\}/);
  model.dispose();
});

test('bad texts: an empty label, question or query is named; a question of 1 MiB is too long; 10,000 labels are answered', async () => {
  const model = await tiny(3);
  const [shown, bank] = [pictures(1), labelBank(model, ['yes', 'no'])];
  assert.throws(() => labelBank(model, ['a', ' ', 'b']), /classify: label 2 of 3 is empty, expected words/);
  assert.throws(() => labelBank(model, []), /there is no label/);
  assert.throws(() => answerBank(model, ['']), /ask: label 1 of 1 is empty/);
  await rejects(() => ask(model, shown, '  ', bank), /ask: the question is empty/);
  await rejects(() => retrieve(model, ['ok', ''], bank.vectors), /text 2 of 2 is empty/);
  const long = 'is there a very red apple '.repeat(2 ** 20 / 26);
  const room = 512 - model.vision.tokens(1);
  for (const question of [long, 'x'.repeat(2 ** 20), '😀'.repeat(2 ** 18)]) {
    await rejects(() => ask(model, shown, question, bank), new RegExp(`ask: the question has more than ${room} tokens, expected at most so many beside ${model.vision.tokens(1)} visual ones \\(it is [\\d,]+ characters long; shorten it\\)`));
  }
  const fits = 'red apple '.repeat(60);
  assert.is((await ask(model, shown, fits, bank, 1))[0]!.length, 1, 'a long one');
  const many = labelBank(model, Array.from({ length: 10_000 }, (_, i) => `thing number ${i}`));
  const [top] = await classify(model, shown, many, { k: 10_000 });
  assert.is(new Set(top!.map(t => t.label)).size, 10_000);
  assert.ok(top!.every((t, i) => i === 0 || top![i - 1]!.score >= t.score));
  model.dispose();
});

const indexOf = (model: VLJEPA, fingerprint: string): VectorIndex => ({ names: ['a.png', 'b "c".png', 'ü.png'], vectors: unitRows(3, 8, 4), dim: 8, model: fingerprint, modelName: 'tiny', kind: 'pictures', query: '' });

test('an index keeps names, vectors and the model; that of another model is refused by name', async () => {
  const [a, b] = [await tiny(3), await tiny(4)];
  const [own, other] = [await modelFingerprint(a), await modelFingerprint(b)];
  assert.match(own, /^[0-9a-f]{32}$/);
  assert.is.not(own, other);
  const again = await tiny(3);
  assert.is(await modelFingerprint(again), own, 'the same weights');
  const index = indexOf(a, own);
  const bytes = encodeIndex(index);
  assert.equal(await readIndex(bytes, { fingerprint: own, name: 'tiny' }), index);
  await rejects(() => readIndex(bytes, { fingerprint: other, name: 'checkpoints/nano' }), new RegExp(`it was made by model tiny \\(${own.slice(0, 8)}\\), expected checkpoints/nano \\(${other.slice(0, 8)}\\): vectors of different models cannot be compared`));
  await rejects(async () => readIndex(encodeIndex({ ...index, names: ['x'] })), /24 numbers, expected 1 rows of 8/);
  await rejects(() => readIndex(bytes.subarray(0, bytes.length - 9)), /\S/);
  for (const m of [a, b, again]) m.dispose();
});

test('an index of an earlier version is read, but not taken for that of a model', async () => {
  const model = await tiny(3);
  const fingerprint = await modelFingerprint(model);
  const index = indexOf(model, fingerprint);
  const old = encodeIndex(index);
  const at = new TextDecoder('latin1').decode(old).indexOf('vl-jepa index 2');
  old[at + 'vl-jepa index '.length] = 0x31;
  assert.equal(await readIndex(old), index);
  await rejects(() => readIndex(old, { fingerprint, name: 'mine' }), /index .*: it was written by an earlier version \("vl-jepa index 1"\), which did not look at every weight of its model, tiny, expected "vl-jepa index 2" \(whether mine made it cannot be told: embed the files again\)/);
  old[at + 'vl-jepa index '.length] = 0x39;
  await rejects(() => readIndex(old), /it is no index, expected the format "vl-jepa index 2"/);
  model.dispose();
});

test('one number anywhere makes another model', async () => {
  const model = await tiny(3);
  const { device: d } = model;
  const own = await modelFingerprint(model);
  const live = d.memory().liveTensors;
  for (const [name, t] of [...model.tensors()].filter(([, { size }], i) => size > 64 && i % 7 === 0 || size === 1)) {
    const offset = 64 * Math.floor((t.size - 1) / 64);
    const last = t.view([t.size - offset], offset);
    const values = await last.read();
    const changed = values.slice();
    new Uint32Array(changed.buffer)[changed.length - 1]! ^= 1;
    d.upload(last, changed);
    assert.is.not(await modelFingerprint(model), own, name);
    d.upload(last, values);
    last.dispose();
  }
  assert.is(await modelFingerprint(model), own);
  assert.is(d.memory().liveTensors, live);
  const files = { 'config.json': new TextEncoder().encode(JSON.stringify(model.config.json)), 'model.safetensors': await model.stateBytes() };
  const fingerprints = new Set([own]);
  for (const dtype of ['f32', 'f16', 'bf16', 'int8'] as const) {
    const both: string[] = [];
    for (const pattern of [0x7fc0dead, 0x42280000]) { // what lies behind the last elements does not count
      setPoison(pattern);
      const other = await VLJEPA.fromPretrained(files, { device: d, dtype });
      both.push(await modelFingerprint(other));
      const scales = [...other.tensors().values()].find(t => t.scales)?.scales;
      assert.is(scales !== undefined, dtype === 'int8');
      if (scales) {
        d.upload(scales, (await scales.read()).map(v => 2 * v));
        assert.is.not(await modelFingerprint(other), both[0], 'other scales');
      }
      other.dispose();
    }
    assert.is(both[0], both[1], dtype);
    fingerprints.add(both[0]!);
  }
  assert.is(fingerprints.size, 4, 'f32 is the model itself, each other type another');
  model.dispose();
});

test('a fingerprint is the SHA-256 of the bytes, piece by piece, without what lies behind the last element', async () => {
  const d = await device();
  const bytes = Uint8Array.from({ length: 52 }, (_, i) => i * 37 + 1);
  const words = new Uint32Array(bytes.buffer);
  const of = async (...part: [number, number]): Promise<string> => String(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.slice(...part))));
  const told = async (t: Tensor, pieceBytes?: number): Promise<string[]> => (await digests([t], pieceBytes)).map(String);
  const whole = Tensor.from(d, words);
  assert.equal(await told(whole), [await of(0, 52)]);
  assert.equal(await told(whole, 16), [await of(0, 16), await of(16, 32), await of(32, 48), await of(48, 52)]);
  const half = Tensor.from(d, new Uint16Array(bytes.buffer, 0, 25), [25], 'bf16');
  assert.equal(await told(half, 48), [await of(0, 48), await of(48, 50)]);
  const scales = Tensor.from(d, Float32Array.of(1));
  const odd = Tensor.quantised(Tensor.from(d, words.slice(0, 1)), scales, [3], 'i4');
  const kept = bytes.slice(0, 2);
  kept[1]! &= 15;
  assert.equal(await told(odd), [String(new Uint8Array(await crypto.subtle.digest('SHA-256', kept))), String(new Uint8Array(await crypto.subtle.digest('SHA-256', Float32Array.of(1))))]);
  assert.equal(await told(Tensor.empty(d, [0])), []);
});

const saved = new Map<string, Float32Array>();
/** usearch's interface over all rows, to try what stands between it and the callers. */
const exactModule: UsearchModule = {
  Index: class {
    private rows: Float32Array = new Float32Array(0);
    private readonly dim: number;
    constructor({ dimensions }: { dimensions: number }) { this.dim = dimensions; }
    add(_: BigUint64Array, vectors: Float32Array): void { this.rows = vectors; }
    save(path: string): void { saved.set(path, this.rows); }
    view(path: string): void { this.rows = saved.get(path)!; }
    search(vectors: Float32Array, k: number): { keys: BigUint64Array; distances: Float32Array } {
      const { dim, rows } = this;
      const dot = (q: number, r: number): number => Array.from({ length: dim }, (_, d) => vectors[q * dim + d]! * rows[r * dim + d]!).reduce((s, v) => s + v, 0);
      const best = Array.from({ length: vectors.length / dim }, (_, q) => topK(Array.from({ length: rows.length / dim }, (_, r) => dot(q, r)), k)).flat();
      return { keys: BigUint64Array.from(best, b => BigInt(b.index)), distances: Float32Array.from(best, b => 1 - b.score) };
    }
  },
};

test('exact search and a graph give the same hits behind one interface', async () => {
  const d = await device();
  const gallery = { vectors: unitRows(60, 6, 7), dim: 6 };
  const queries = Tensor.from(d, unitRows(3, 6, 8), [3, 6]);
  const exact = exactSearcher(d, gallery);
  const graph = usearchSearcher(exactModule, gallery);
  assert.equal([exact.method, graph.method], ['exact', 'usearch']);
  const [a, b] = [await exact.search(queries, 5), await graph.search(queries, 5)];
  assert.equal(b.map(l => l.map(h => h.index)), a.map(l => l.map(h => h.index)));
  close(b.flat().map(h => h.score), a.flat().map(h => h.score), { abs: 1e-5, name: 'cosines' });
  const written = usearchSearcher(exactModule, gallery, {}, { path: 'graph', exists: false });
  const mapped = usearchSearcher(exactModule, { vectors: gallery.vectors, dim: 6 }, {}, { path: 'graph', exists: true });
  assert.equal([await written.search(queries, 5), await mapped.search(queries, 5)], [b, b], 'a stored graph');
  await rejects(() => graph.search(Tensor.zeros(d, [1, 5]), 1), /the queries are 5 wide, expected 6/);
  assert.is((await openSearcher(d, gallery)).method, 'exact', 'a small gallery');
  exact.dispose();
});

const usearch = await importUsearch().catch((error: Error) => error);
test.when(!(usearch instanceof Error), 'the optional npm package usearch is not installed', 'usearch finds at least 95 of 100 exact neighbours among 3,000', async () => {
  const d = await device();
  const gallery = { vectors: unitRows(3000, 32, 7), dim: 32 };
  const queries = Tensor.from(d, unitRows(20, 32, 8), [20, 32]);
  const exact = exactSearcher(d, gallery);
  const [a, b] = [await exact.search(queries, 10), await usearchSearcher(usearch as UsearchModule, gallery).search(queries, 10)];
  const shared = a.map((l, i) => l.filter(h => b[i]!.some(x => x.index === h.index)).length).reduce((s, v) => s + v, 0);
  assert.ok(shared >= 190, `${shared} of 200`);
  exact.dispose();
});
test.when(usearch instanceof Error, 'the optional npm package usearch is installed', 'usearch that was asked for and is missing is an error that says how to get it', async () => {
  await rejects(async () => openSearcher(await device(), { vectors: new Float32Array(4), dim: 2 }, { method: 'usearch' }), /the npm package usearch could not be loaded \(run: npm install usearch@/);
});

test.run();
