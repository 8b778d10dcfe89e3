// Batches are a function of seed and step alone; recipes and tables say what is wrong with them.
import { fillTemplate } from '../../data/templates.ts';
import { PictureBatches, pictureTable } from '../../train/pictures.ts';
import type { PictureBatch } from '../../train/pictures.ts';
import { checkRecipe, fingerprint } from '../../train/recipe.ts';
import type { Recipe } from '../../train/recipe.ts';
import { assert, suite } from '../harness.ts';
import { EDGE, NAMES, noiseTable, tinyRecipe } from './tiny.ts';

const test = suite('batches');
const AUGMENT = { shift: 0.1, rotate: 10, hue: 20, flip: 0.5, mix: 0.5, mixShare: 0.4 };
const batches = (changes: Partial<Recipe> = {}): PictureBatches => new PictureBatches(noiseTable(), tinyRecipe({ augment: AUGMENT, templates: [0, 1, 2], ...changes }), EDGE);
const same = (a: PictureBatch, b: PictureBatch): boolean => a.captions.join('|') === b.captions.join('|') && a.concepts.join() === b.concepts.join() && sameBits(a.pixels, b.pixels);
const sameBits = (a: Float32Array, b: Float32Array): boolean => a.length === b.length && new Uint32Array(a.buffer).every((v, i) => v === new Uint32Array(b.buffer)[i]);

test('a batch depends on seed and step, not on what was asked before', () => {
  const forward = batches();
  const inOrder = Array.from({ length: 9 }, (_, step) => forward.at(step));
  const fresh = batches();
  for (const step of [8, 0, 5, 5, 1, 7]) assert.ok(same(fresh.at(step), inOrder[step]!), `step ${step}`);
  assert.not.ok(same(inOrder[0]!, inOrder[4]!), 'the same place of the next epoch is another batch');
  assert.not.ok(same(batches({ seed: 2 }).at(0), inOrder[0]!), 'another seed is another batch');
});

test('an epoch holds every concept once, a batch each at most once, and captions belong to concepts', () => {
  const all = batches();
  assert.is(all.stepsPerEpoch, 4);
  for (const epoch of [0, 1]) {
    const seen: number[] = [];
    for (let k = 0; k < 4; k++) {
      const { concepts, captions, pixels } = all.at(epoch * 4 + k);
      assert.is(pixels.length, 6 * 3 * EDGE * EDGE);
      assert.ok(pixels.every(Number.isFinite));
      seen.push(...concepts);
      concepts.forEach((c, i) => assert.ok([0, 1, 2].some(t => fillTemplate(t, NAMES[c]!) === captions[i]), captions[i]));
    }
    assert.equal(seen.sort((a, b) => a - b), NAMES.map((_, i) => i));
  }
  const used = new Set(Array.from({ length: 12 }, (_, s) => all.at(s)).flatMap(b => b.captions.map((c, i) => [0, 1, 2].find(t => fillTemplate(t, NAMES[b.concepts[i]!]!) === c))));
  assert.is(used.size, 3, 'every template is drawn');
});

test('shuffled texts: one fixed permutation of the captions, nearly none in its place', () => {
  const mixed = batches({ shuffleTexts: true, templates: [0] });
  const captionOf = new Map<number, string>();
  for (let step = 0; step < 8; step++) {
    const { concepts, captions } = mixed.at(step);
    concepts.forEach((c, i) => {
      assert.is(captionOf.get(c) ?? captions[i], captions[i]);
      captionOf.set(c, captions[i]!);
    });
  }
  assert.equal([...captionOf.values()].sort(), [...NAMES].sort());
  assert.ok([...captionOf].filter(([c, text]) => NAMES[c] === text).length < 5);
});

test('concepts without a picture are left out; too large a batch and pixels that do not fit are errors', () => {
  const table = pictureTable(['a', 'b', 'c', 'd'], [{ concepts: [0, 3], pixels: new Uint8Array(2 * EDGE * EDGE * 3) }], EDGE);
  assert.equal([...new PictureBatches(table, tinyRecipe({ batch: 2 }), EDGE).at(3).concepts].sort(), [0, 3]);
  assert.throws(() => new PictureBatches(table, tinyRecipe({ batch: 3 }), EDGE), /train: batch is 3, expected at most 2, the number of concepts/);
  assert.throws(() => pictureTable(['a'], [{ concepts: [0], pixels: new Uint8Array(5) }], EDGE), /pictureTable: 5 bytes, expected 1 pictures of 16 x 16 x 3/);
});

test('a broken recipe is refused with the field and what was expected', () => {
  checkRecipe(tinyRecipe());
  for (const [change, message] of [
    [{ steps: 0 }, /steps is 0, expected a whole number ≥ 1/], [{ batch: 1 }, /batch is 1, expected a whole number ≥ 2/], [{ seed: 0.5 }, /seed is 0.5/], [{ lr: 0 }, /lr is 0, expected a number > 0/],
    [{ lr: NaN }, /lr is NaN/], [{ clipNorm: -1 }, /clipNorm is -1/], [{ weightDecay: NaN }, /weightDecay is NaN/], [{ artists: [] }, /artists is empty/], [{ templates: [] }, /templates is empty/],
  ] as const) assert.throws(() => checkRecipe(tinyRecipe(change as Partial<Recipe>)), message);
});

test('the fingerprint changes with every field', () => {
  const base = fingerprint(tinyRecipe());
  assert.is(fingerprint(tinyRecipe()), base);
  for (const change of [{ seed: 2 }, { lr: 1e-3 }, { artists: ['noto'] as const }, { augment: { flip: 0.5 } }, { shuffleTexts: true }, { average: 0 }]) assert.is.not(fingerprint(tinyRecipe(change)), base, JSON.stringify(change));
});

test.run();
