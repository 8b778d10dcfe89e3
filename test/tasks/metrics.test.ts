import { bootstrap, ranks, recall, topK } from '../../tasks/metrics.ts';
import { assert, suite } from '../harness.ts';

const test = suite('metrics');

test('ranks count ties against the model', () => {
  const scores = [0.9, 0.1, 0.2, /* tie */ 0.5, 0.5, 0.1, /* NaN */ NaN, 0.3, 0.1];
  assert.equal([...ranks(scores, 3, [0, 0, 0])], [1, 2, 3]);
  assert.equal([...ranks(scores, 3, [1, 1, 1])], [3, 2, 2]);
});

test('a collapsed model, all scores equal, has recall 0', () => {
  const r = recall(ranks(new Float32Array(20 * 20).fill(0.7), 20, Array.from({ length: 20 }, (_, i) => i)));
  assert.equal([r.r1, r.r5, r.r10, r.medianRank], [0, 0, 0, 20]);
});

test('recall and median rank of known ranks', () => {
  assert.equal(recall([1, 1, 3, 7, 30, 2]), { n: 6, r1: 100 / 3, r5: 400 / 6, r10: 500 / 6, medianRank: 2.5 });
  assert.equal(recall([]), { n: 0, r1: 0, r5: 0, r10: 0, medianRank: 0 });
});

test('wrong sizes and indices are errors that say so', () => {
  assert.throws(() => ranks([1, 2], 3, [0]), /2 scores, expected 1 x 3/);
  assert.throws(() => ranks([1, 2, 3], 3, [3]), /truth of query 0 is 3/);
});

test('topK orders by score and keeps the order of equals', () => {
  assert.equal(topK([0.1, 0.9, 0.9, 0.5], 3).map(x => x.index), [1, 2, 3]);
});

test('bootstrap interval holds the mean and shrinks with n', () => {
  const make = (n: number): number[] => Array.from({ length: n }, (_, i) => (i % 3 === 0 ? 1 : 0));
  const [low, high] = bootstrap(make(300));
  assert.ok(low < 1 / 3 && high > 1 / 3 && high - low < 0.13, `${low} ${high}`);
  const [l2, h2] = bootstrap(make(3000));
  assert.ok(h2 - l2 < (high - low) / 2);
});

test.run();
