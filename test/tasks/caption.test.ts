// Captions and open answers: the decoder on predictions with the bank beside it, and pairs that do not go together.
import { loadTokenizer, loadTokenizerJson } from '../../data/tokenizer.ts';
import type { Device } from '../../engine/device.ts';
import { TextDecoder } from '../../model/text_decoder.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import type { Picture } from '../../model/vl_jepa.ts';
import { askOpen, caption, captionVectors } from '../../tasks/caption.ts';
import { labelBank } from '../../tasks/classify.ts';
import { DECODER_TINY } from '../../train/decoder_recipe.ts';
import { TINY } from '../../train/presets.ts';
import { assert, device, suite } from '../harness.ts';

const test = suite('caption');

const picture = (seed: number): Picture => ({ width: 16, height: 16, data: Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * seed * 37) % 256) });
const modelOf = async (d: Device, seed = 1): Promise<VLJEPA> => VLJEPA.fromConfig(TINY.model, { device: d, seed, tokenizer: await loadTokenizerJson() });
const decoderOf = async (d: Device): Promise<TextDecoder> =>
  TextDecoder.create({ ...DECODER_TINY.decoder, embedding_dim: 16, max_tokens: 6 }, { device: d, tokenizer: await loadTokenizer(), seed: 2, init: { linear: { fanIn: 1.5 }, embedding: { std: 0.6 } } });
const reason = async (work: Promise<unknown>): Promise<string> => work.then(() => 'nothing', (e: Error) => e.message);

test('a caption is the decoded prediction, with the nearest text of the bank beside it', async () => {
  const d = await device();
  const [model, decoder] = [await modelOf(d), await decoderOf(d)];
  decoder.bind(model);
  const pictures = [picture(1), picture(2), [picture(3), picture(4)]];
  const bank = labelBank(model, ['cat', 'dog', 'red apple']);
  const said = await caption(model, decoder, pictures, { query: 'What is this?', bank, k: 2 });
  const vectors = model.predict(pictures, 'What is this?');
  assert.equal(said.map(s => s.text), await decoder.decode(vectors));
  const scores = model.similarity(vectors, bank.vectors);
  const values = await scores.read();
  said.forEach(({ nearest }, i) => {
    assert.is(nearest.length, 2);
    assert.is(nearest[0]!.label, bank.labels[[0, 1, 2].sort((a, b) => values[i * 3 + b]! - values[i * 3 + a]!)[0]!]);
  });
  assert.equal((await askOpen(model, decoder, pictures, 'What is this?', { method: 'beam', width: 1 })).map(s => s.text), said.map(s => s.text));
  const several = await captionVectors(model, decoder, vectors, { method: 'beam', width: 3, nBest: 3 });
  assert.equal(several.map(s => [s.texts.length, s.nearest.length]), [[3, 0], [3, 0], [3, 0]]);
  const rows = await vectors.read();
  for (const [rerank, weigh] of [[true, 1 / 0.05], [0.5, 2], [0, undefined]] as const) {
    const judged = await captionVectors(model, decoder, vectors, { method: 'beam', width: 3, nBest: 3, rerank });
    for (const [i, { text, texts }] of judged.entries()) {
      assert.equal(texts.map(t => t.text).sort(), several[i]!.texts.map(t => t.text).sort(), 'the same proposals');
      const encoded = model.encodeText(texts.map(t => t.text || 'x'));
      const e = await encoded.read();
      encoded.dispose();
      const scores = texts.map((t, k) => {
        const cosine = rows.subarray(16 * i, 16 * i + 16).reduce((s, v, d) => s + v * e[16 * k + d]!, 0);
        return !t.text.trim() ? -Infinity : weigh === undefined ? cosine : t.logProbability + cosine * weigh;
      });
      assert.ok(text === texts[0]!.text && scores.every((c, k) => k === 0 || c <= scores[k - 1]! + 1e-5), `best first: ${scores.join(', ')}`);
    }
  }
  assert.match(await reason(captionVectors(model, decoder, vectors, { rerank: -1 })), /rerankTexts: temperature is -1, expected a number ≥ 0/);
  for (const t of [vectors, scores, bank.vectors]) t.dispose();
  for (const one of [model, decoder]) one.dispose();
});

test('a decoder of another model, questions without words and vectors of another width are refused', async () => {
  const d = await device();
  const [model, other, decoder] = [await modelOf(d), await modelOf(d, 5), await decoderOf(d)];
  assert.match(await reason(caption(model, decoder, [picture(1)])), /cosine 0.000 with the one that the decoder was trained for/, 'never bound');
  decoder.bind(model);
  assert.match(await reason(caption(other, decoder, [picture(1)])), /a decoder of another model, or the model was trained on since/);
  assert.match(await reason(caption(model, decoder, [picture(1)], { query: ' ' })), /caption: the question is empty, expected words/);
  assert.match(await reason(askOpen(model, decoder, [picture(1)], 'why '.repeat(3000))), /ask: the question has more than \d+ tokens/);
  assert.match(await reason(caption(model, decoder, [picture(1)], { method: 'beam', width: 40 })), /width is 40, expected a whole number from 1 to 16/);
  for (const one of [model, other, decoder]) one.dispose();
});

test.run();
