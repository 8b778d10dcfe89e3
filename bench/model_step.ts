// A training step of the shipped model: pictures and captions in, weights changed, one number read.
import { loadTokenizerJson } from '../data/tokenizer.ts';
import type { Device } from '../engine/device.ts';
import type { PlanReport } from '../engine/plan.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { Trainer } from '../train/loop.ts';
import { PictureBatches, pictureTable } from '../train/pictures.ts';
import { PRESETS } from '../train/presets.ts';
import type { Recipe } from '../train/recipe.ts';
import { valuesOf } from './case.ts';
import type { Runner } from './model.ts';
import type { ModelCase } from './model_cases.ts';

const WORDS = ['red', 'green', 'round', 'small', 'apple', 'fish', 'house', 'moon', 'face with tears of joy', 'person in a steamy room', 'flag', 'two', 'cat', 'dog', 'tree', 'sun'];

/** Noise pictures with names of one to ten words. */
function noise(concepts: number, edge: number): ReturnType<typeof pictureTable> {
  const names = Array.from({ length: concepts }, (_, i) => `${WORDS[i % 16]} ${WORDS[(i >> 4) % 16]}`);
  const pixels = Uint8Array.from(valuesOf({ shape: [concepts * edge * edge * 3], kind: 'ids', below: 256 }, 1));
  return pictureTable(names, [{ concepts: names.map((_, i) => i), pixels }], edge);
}

async function trainer(device: Device, recipe: Recipe, plans: boolean): Promise<Trainer> {
  const model = VLJEPA.fromConfig(recipe.model, { device, seed: recipe.seed, init: recipe.init as never, tokenizer: await loadTokenizerJson() });
  const edge = model.config.vision.cropSize;
  return new Trainer(model, recipe, new PictureBatches(noise(recipe.batch, edge), recipe, edge), { plans, collapse: { every: 1_000_000 } });
}

function release(t: Trainer): void {
  t.dispose();
  t.model.dispose();
}

/**
 * The step as a case of its own: the trainer records it. Work is counted as three times the forward passes of the real and padded tokens.
 * @param device where @returns name, work and how to get it running
 */
export function stepCase(device: Device): Pick<ModelCase, 'preset' | 'name' | 'flop' | 'weights'> & { runner(): Promise<Runner> } {
  const recipe: Recipe = { ...PRESETS.nano!, steps: 1_000_000, augment: {}, templates: [0] };
  const made = { preset: 'step', name: `training step of nano, ${recipe.batch} pictures`, flop: 0, weights: 0 };
  return Object.assign(made, {
    async runner(): Promise<Runner> {
      const eager = await trainer(device, recipe, false);
      const expected = [await eager.advance(), await eager.advance()];
      release(eager);
      device.trim();
      const planned = await trainer(device, recipe, true);
      const first = await planned.advance(); // with the meters
      const began = performance.now();
      const second = await planned.advance();
      const recordMs = performance.now() - began;
      const [shape, [plain]] = [...planned.plans!.reports()].at(-1)! as [string, readonly [PlanReport]];
      made.flop = 3 * flopOf(planned, Number(shape.split('x').at(-1)));
      made.weights = [...planned.model.parameters().values()].reduce((n, t) => n + t.size, 0);
      return {
        recordMs, report: plain,
        async compare() {
          const got = [first, second];
          got.forEach((r, i) => {
            const e = expected[i]!;
            if (!Number.isFinite(r.loss) || r.loss !== e.loss || r.gradNorm !== e.gradNorm) throw new Error(`bench model: step ${i} is wrong when it is replayed, loss ${r.loss} and gradient norm ${r.gradNorm}, expected ${e.loss} and ${e.gradNorm}`);
          });
          return 2 * got.length;
        },
        async run() {
          await planned.advance();
          return undefined;
        },
        dispose() {
          release(planned);
          device.trim();
        },
      };
    },
  });
}

/** Multiply-adds of the forward passes, times two. */
function flopOf({ model: { config: { vision: v, predictor: p, predictorLayers, text: t, embeddingDim } }, recipe: { batch } }: Trainer, tokens: number): number {
  const layer = (n: number, d: number, qkv: number, attended: number, mlp: number): number => 2 * n * (d * qkv + attended * d + mlp) + 4 * n * n * attended;
  const llama = (c: typeof p | typeof t, layers: number, n: number): number => layers * layer(n, c.hiddenSize, (c.heads + 2 * c.kvHeads) * c.headDim, c.heads * c.headDim, 3 * c.hiddenSize * c.intermediateSize);
  const n = (v.cropSize / v.patchSize) ** 2;
  const vision = v.layers * layer(n, v.hiddenSize, 3 * v.hiddenSize, v.hiddenSize, 2 * v.hiddenSize * v.mlpSize) + 2 * n * 3 * v.tubeletSize * v.patchSize ** 2 * v.hiddenSize;
  const heads = 2 * (n * v.hiddenSize * p.hiddenSize + p.hiddenSize * embeddingDim + t.hiddenSize * embeddingDim);
  return batch * (vision + llama(p, predictorLayers[1] - predictorLayers[0], n) + llama(t, t.layers, tokens) + heads) + 4 * batch * batch * embeddingDim;
}
