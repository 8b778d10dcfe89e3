// The benchmark leaves no kernel out: every exported op has a row, and a backward row where it has a gradient.
import * as ops from '../../kernels/index.ts';
import { CASES, NO_ROW, casesOf } from '../../bench/cases.ts';
import { TABLE } from '../proofs/table.ts';
import { assert, suite } from '../harness.ts';

const test = suite('benchmark rows');

test('every exported op has a row in the quick profile, or a reason', () => {
  const measured = new Set(casesOf('quick').map(c => c.op));
  assert.equal(Object.keys(ops).filter(name => !measured.has(name) && !(name in NO_ROW)), []);
  assert.equal(Object.keys(NO_ROW).filter(name => !(name in ops) || measured.has(name)), []);
});

test('every op with a gradient has a backward row', () => {
  const backward = new Set(CASES.filter(c => c.pass === 'backward').map(c => c.op));
  const wanted = TABLE.filter(p => p.backward).flatMap(p => p.ops);
  assert.equal([...new Set(wanted)].filter(op => !backward.has(op) && !(op in NO_ROW)), []);
});

test('a row counts its work, and no two rows are the same', () => {
  assert.equal(CASES.filter(c => !c.flop && !c.bytes).map(c => `${c.op} ${c.pass}, ${c.use}`), []);
  const names = CASES.map(c => `${c.op} ${c.pass} ${c.shape} ${c.use}`);
  assert.equal(names.filter((n, i) => names.indexOf(n) !== i), []);
});

test('a profile holds the smaller ones, and a filter finds rows by op and by use', () => {
  const [quick, model, full] = (['quick', 'model', 'full'] as const).map(p => casesOf(p).length);
  assert.ok(quick! < model! && model! < full! && full === CASES.length);
  assert.ok(casesOf('full', 'vit-l').every(c => /ViT-L/.test(c.use)));
  assert.equal(casesOf('quick', 'no such kernel'), []);
});

test.run();
