// A model, pictures and settings small enough to train inside a test.
import type { Device } from '../../engine/device.ts';
import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { Trainer } from '../../train/loop.ts';
import type { TrainerOptions } from '../../train/loop.ts';
import { PictureBatches, pictureTable } from '../../train/pictures.ts';
import type { PictureTable } from '../../train/pictures.ts';
import { TINY } from '../../train/presets.ts';
import type { Recipe } from '../../train/recipe.ts';
import { generator } from '../harness.ts';

/** Edge of the tiny preset's input, pixels. */
export const EDGE = 16;
const BYTES = EDGE * EDGE * 3;
const WORDS = ['red', 'green', 'round', 'small', 'apple', 'fish', 'house', 'moon'];

/** Two words each, all different. */
export const NAMES: readonly string[] = Array.from({ length: 24 }, (_, i) => `${WORDS[i % 4]} ${WORDS[4 + (i >> 2) % 4]}${i < 16 ? '' : ' two'}`);

/** Noise pictures of 24 concepts: the first artist draws all, the second the first 20. */
export function noiseTable(): PictureTable {
  const next = generator(5);
  const draw = (n: number) => ({ concepts: Array.from({ length: n }, (_, i) => i), pixels: Uint8Array.from({ length: n * BYTES }, () => next() * 256) });
  return pictureTable(NAMES, [draw(24), draw(20)], EDGE);
}

/** The tiny preset with changes. */
export const tinyRecipe = (changes: Partial<Recipe> = {}): Recipe => ({ ...TINY, steps: 9, batch: 6, warmup: 2, average: 0.9, ...changes });

/** A new trainer with a new model, always with the same initial weights. */
export async function tinyTrainer(d: Device, changes: Partial<Recipe> = {}, options: TrainerOptions = {}): Promise<Trainer> {
  const recipe = tinyRecipe(changes);
  const model = VLJEPA.fromConfig(recipe.model, { device: d, seed: recipe.seed, init: recipe.init as never, tokenizer: await loadTokenizerJson() });
  return new Trainer(model, recipe, new PictureBatches(noiseTable(), recipe, EDGE), options);
}

/** Releases a trainer and its model. */
export function release(trainer: Trainer): void {
  trainer.dispose();
  trainer.model.dispose();
}

/** Names, shapes and bits of everything that decides the rest of a run. */
export async function bitsOf(trainer: Trainer): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  for (const [name, { shape, data }] of await trainer.snapshot()) out.set(name, `${shape.join('x')} ${new Uint32Array(data.buffer, data.byteOffset, data.length).join()}`);
  return out;
}

/** Names whose bits differ. */
export const different = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string[] => [...new Set([...a.keys(), ...b.keys()])].filter(name => a.get(name) !== b.get(name));
