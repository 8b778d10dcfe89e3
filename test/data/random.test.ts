import { assert, suite } from '../harness.ts';
import { CounterRandom, permutation, philox } from '../../data/random.ts';

const test = suite('data: random numbers');

test('philox gives the published words', () => {
  // known-answer vectors of the Random123 library, lines "philox4x32 10"
  const all = 0xffff_ffff;
  const vectors: [number[], number[], number[]][] = [
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[all, all, all, all], [all, all], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]],
  ];
  const out = new Uint32Array(4);
  for (const [counter, key, expected] of vectors) {
    philox(counter, key, out);
    assert.equal([...out], expected);
  }
});

test('the order of asking does not matter', () => {
  const forward = new CounterRandom(7, 3, 2, 1);
  const backward = new CounterRandom(7, 3, 2, 1);
  const places = Array.from({ length: 50 }, (_, i) => i);
  const ahead = places.map((i) => [forward.uniform(i), forward.normal(i), forward.u32(i)]);
  const back = places.reverse().map((i) => [backward.u32(i), backward.normal(i), backward.uniform(i)].reverse()).reverse();
  assert.equal(ahead, back);
  const counted = new CounterRandom(7, 3, 2, 1);
  assert.is(counted.next(), ahead[0]![0]);
  assert.is(counted.next(), ahead[1]![0]);
});

test('seed, step, index and stream each give other numbers', () => {
  const first = new Set([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [2 ** 32, 0, 0, 0], [0, 0, 0, 0]].map((at) => new CounterRandom(...(at as [number, number, number, number])).u32(0)));
  assert.is(first.size, 6);
});

test('uniform and normal have their moments', () => {
  const random = new CounterRandom(11);
  const n = 40_000;
  let [mean, square, normal, normalSquare] = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [u, z] = [random.uniform(i), random.normal(i)];
    mean += u / n;
    square += (u * u) / n;
    normal += z / n;
    normalSquare += (z * z) / n;
  }
  assert.ok(Math.abs(mean - 0.5) < 0.008, `mean ${mean}`);
  assert.ok(Math.abs(square - 1 / 3) < 0.008, `square ${square}`);
  assert.ok(Math.abs(normal) < 0.025, `normal ${normal}`);
  assert.ok(Math.abs(normalSquare - 1) < 0.04, `variance ${normalSquare}`);
});

test('permutation is one, seeded, and new each epoch', () => {
  const order = permutation(1000, 5, 1);
  assert.equal([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
  assert.equal(order, permutation(1000, 5, 1));
  assert.not.equal(order, permutation(1000, 5, 2));
  assert.not.equal(order, permutation(1000, 6, 1));
  assert.equal([...permutation(0, 1)], []);
});

test.run();
