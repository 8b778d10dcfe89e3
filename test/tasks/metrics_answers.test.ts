import { chosen } from '../../tasks/benchmark.ts';
import { classMeanRecall, boundaryF1, topKAccuracy } from '../../tasks/metrics.ts';
import { popeAccuracy, tallyAccuracy, tripletAccuracy, vqaAccuracy, yesNoAccuracy } from '../../tasks/metrics_answers.ts';
import { assert, close, suite } from '../harness.ts';

const test = suite('answer metrics');

test('answers are compared without case, spaces and full stop; groups are counted on their own', () => {
  const report = vqaAccuracy([
    { answer: ' A  Cat.', truth: 'a cat', group: 'animal' }, { answer: 'dog', truth: ['cat', 'hound'], group: 'animal' }, { answer: 'two', truth: ['2', 'Two'] }, { answer: '', truth: 'x', group: 'odd' },
  ]);
  assert.equal(report, { n: 4, accuracy: 50, groups: { animal: { n: 2, accuracy: 50 }, odd: { n: 1, accuracy: 0 } } });
  assert.equal(vqaAccuracy([]), { n: 0, accuracy: 0, groups: {} });
});

test('TallyQA weighs the simple and complex questions by the benchmark\'s counts', () => {
  const items = [...[1, 1, 1, 0].map(r => ({ answer: String(r), truth: '1', group: 'simple' })), ...[1, 0].map(r => ({ answer: String(r), truth: '1', group: 'complex' }))];
  const report = tallyAccuracy(items);
  assert.equal([report.simple, report.complex, report.mean], [{ n: 4, accuracy: 75 }, { n: 2, accuracy: 50 }, 62.5]);
  close([report.weighted], [(22991 * 75 + 15598 * 50) / 38589], { abs: 1e-12, name: 'weighted' });
  close([tallyAccuracy(items, { simple: 4, complex: 2 }).weighted], [400 / 6], { abs: 1e-12, name: 'own sizes' });
  assert.throws(() => tallyAccuracy(items.slice(0, 4)), /there is no question of "complex"/);
  assert.throws(() => tallyAccuracy([{ answer: '1', truth: '1' }]), /question 0 belongs to no group, expected simple, complex/);
});

test('POPE: mean of three settings; precision, recall, F1 and yes ratio with yes as the positive answer', () => {
  const of = (group: string, pairs: string): { answer: string; truth: string; group: string }[] => pairs.split(' ').map(p => ({ answer: p[0] === 'y' ? 'Yes' : 'no', truth: p[1] === 'y' ? 'yes' : 'no', group }));
  const yn = yesNoAccuracy(of('x', 'yy yy yn ny nn nn nn nn'));
  close([yn.accuracy, yn.precision, yn.recall, yn.f1, yn.yesRatio], [75, 200 / 3, 200 / 3, 200 / 3, 37.5], { abs: 1e-12, name: 'one setting' });
  const report = popeAccuracy([...of('random', 'yy nn'), ...of('popular', 'yy yn'), ...of('adversarial', 'yn ny')]);
  close([report.accuracy, report.random.accuracy, report.popular.accuracy, report.adversarial.accuracy], [50, 100, 50, 0], { abs: 1e-12, name: 'settings' });
  assert.equal(yesNoAccuracy(of('x', 'ny nn')).f1, 0, 'never yes');
  for (const [answer, yes] of [['Yes, there is a dog. No cat.', 100], ['There is.', 100], ['No, there is not', 0], ['it is not there', 0], ['a knot', 100]] as const) assert.is(yesNoAccuracy([{ answer, truth: 'yes' }]).yesRatio, yes, answer);
  assert.throws(() => popeAccuracy(of('random', 'yy')), /no question of "popular"/);
  assert.throws(() => yesNoAccuracy([{ answer: 'yes', truth: 'maybe' }]), /truth of question 0 is "maybe", expected yes or no/);
});

test('a candidate that is as near as the right one, or a NaN, is chosen in its place', () => {
  const [labels, all] = [['Yes', 'no', 'perhaps'], [0, 1, 2]];
  for (const [scores, said] of [[[0.9, 0.1, 0.2], 'Yes'], [[0.9, 0.1, 0.9], 'perhaps'], [[0.1, 0.9, 0.2], 'no'], [[NaN, NaN, NaN], 'no'], [[0.9, NaN, 0.1], 'no']] as const) assert.is(chosen(scores, all, labels, ['yes']), said, String(scores));
  assert.is(chosen([0.9, 0.95, 0.1], [2, 0], labels, ['yes']), 'Yes', 'only candidates count');
});

test('a triplet is right only when the pair beats both negatives; ties and NaN are wrong', () => {
  const report = tripletAccuracy([
    { p1p2: 0.9, p1n: 0.8, p2n: 0.7, group: 'swap' }, { p1p2: 0.9, p1n: 0.9, p2n: 0.1, group: 'swap' }, { p1p2: 0.5, p1n: 0.4, p2n: 0.6 }, { p1p2: NaN, p1n: 0, p2n: 0 }, { p1p2: 1, p1n: 0.99, p2n: 0 },
  ]);
  assert.equal(report, { n: 5, accuracy: 40, groups: { swap: { n: 2, accuracy: 50 } } });
});

test('top-k accuracy, and recall of rare classes weighs as much as that of frequent ones', () => {
  assert.is(topKAccuracy([1, 5, 6, 2], 5), 75);
  assert.is(topKAccuracy([], 5), 0);
  assert.is(classMeanRecall([1, 2, 3, 9], [0, 0, 0, 7], 5), 50, 'three of class 0 right, the one of class 7 wrong');
  assert.throws(() => classMeanRecall([1], [1, 2]), /1 ranks, expected 2/);
});

test('boundaries match one to one within the tolerance', () => {
  assert.equal(boundaryF1([1, 2.4, 5], [1.2, 2, 9], 0.5), { precision: 200 / 3, recall: 200 / 3, f1: 200 / 3 });
  assert.is(boundaryF1([1, 1.1, 1.2], [1], 0.5).precision, 100 / 3, 'one truth is found once');
  assert.equal(boundaryF1([], [1], 1), { precision: 0, recall: 0, f1: 0 });
  assert.is(boundaryF1([3, 1], [1, 3], 0).f1, 100, 'any order');
});

test.run();
