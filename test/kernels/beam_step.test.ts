// Beam search by steps: what is refused, the first step, a search over all texts of a tiny language.
import { scope } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import { NO_BEAM, beamStep } from '../../kernels/beam_step.ts';
import { assert, close, device, generator, suite } from '../harness.ts';

const test = suite('beam step');

const START = (groups: number, width: number): number[] => Array.from({ length: groups * width }, (_, i) => (i % width === 0 ? [0, 0, 0] : [NO_BEAM, 0, NO_BEAM])).flat();

test('widths and shapes that do not fit are refused', async () => {
  const d = await device();
  const [x, state] = [Tensor.zeros(d, [4, 5]), Tensor.zeros(d, [4, 3])];
  assert.throws(() => beamStep(x, state, { width: 6, eos: 1, pad: 0, step: 1 }), /beamStep: width is 6, expected 1 to 5 \(at most 16, and at most the 5 columns of logits\)/);
  assert.throws(() => beamStep(x, state, { width: 3, eos: 1, pad: 0, step: 1 }), /beamStep: logits has shape \[4, 5\], expected a multiple of 3 rows/);
  assert.throws(() => beamStep(x, Tensor.zeros(d, [4, 2]), { width: 2, eos: 1, pad: 0, step: 1 }), /beamStep: state has shape \[4, 2\], expected \[4, 3\]/);
  assert.throws(() => beamStep(x, state, { width: 2, eos: 1, pad: 0, step: 0 }), /beamStep: step is 0/);
});

test('the first step takes the best columns of the one row that is alive; of equal logits the lower column', async () => {
  const d = await device();
  const x = Tensor.from(d, [0, 3, 3, 1, 9, 9, 9, 9, 9, 9, 9, 9], [3, 4]);
  const y = scope(() => beamStep(x, Tensor.from(d, START(1, 3), [3, 3]), { width: 3, eos: 1, pad: 0, step: 1 }));
  assert.equal([...await y.tokens.readU32()], [1, 2, 3]);
  assert.equal([...await y.parents.readU32()], [0, 0, 0]);
  const state = await y.state.read();
  assert.equal([state[1], state[4], state[7]], [1, 0, 0], 'column 1 ends the text');
});

/** All texts of a language where the next token depends on the last: probability of every one that ends. */
function everyText(table: readonly Float64Array[], eos: number, longest: number): { tokens: number[]; logp: number }[] {
  const out: { tokens: number[]; logp: number }[] = [];
  const walk = (tokens: number[], logp: number): void => {
    const row = table[tokens.at(-1) ?? eos]!;
    const lse = Math.log(row.reduce((s, v) => s + Math.exp(v), 0));
    row.forEach((v, c) => {
      const next = { tokens: [...tokens, c], logp: logp + v - lse };
      if (c === eos || next.tokens.length === longest) out.push(next);
      else walk(next.tokens, next.logp);
    });
  };
  walk([], 0);
  return out;
}

test('as wide as the language, the search finds the best of all texts, with their log-probabilities', async () => {
  const d = await device();
  const [vocabulary, eos, longest, width] = [4, 3, 3, 16] as const; // 16 beams hold every text of three tokens that matters
  const next = generator(5);
  const table = Array.from({ length: vocabulary }, () => Float64Array.from({ length: 16 }, (_, c) => (c < vocabulary ? Math.fround(4 * next() - 2) : -60)));
  for (const lengthPenalty of [0, 1]) {
    let state = Tensor.from(d, START(1, width), [width, 3]);
    let last: number[] = Array(width).fill(eos) as number[], texts: number[][] = Array.from({ length: width }, () => []);
    for (let step = 1; step <= longest; step++) {
      const x = Tensor.from(d, last.flatMap(t => [...table[Math.min(t, vocabulary - 1)]!]), [width, 16]);
      const y = beamStep(x, state, { width, eos, pad: 99, step, lengthPenalty });
      const [tokens, parents] = [[...await y.tokens.readU32()], [...await y.parents.readU32()]];
      texts = parents.map((p, i) => (tokens[i] === 99 ? texts[p]! : [...texts[p]!, tokens[i]!]));
      last = tokens.map(t => (t === 99 ? eos : t));
      state = y.state;
    }
    const best = everyText(table.map(row => row.slice(0, vocabulary)), eos, longest).map(t => ({ ...t, key: t.logp * t.tokens.length ** -lengthPenalty })).sort((a, b) => b.key - a.key);
    const values = await state.read();
    assert.equal(texts[0], best[0]!.tokens, `penalty ${lengthPenalty}`);
    close([values[2]!], [best[0]!.key], { abs: 1e-5, name: `key with penalty ${lengthPenalty}` });
    if (lengthPenalty === 0) assert.equal(texts.slice(0, 5), best.slice(0, 5).map(t => t.tokens), 'the five best');
  }
});

test.run();
