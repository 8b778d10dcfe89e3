// Long runs of marks: the order of `normalize`, in bounded time.
import { orderMarks } from '../../data/mark_order.ts';
import { assert, generator, suite } from '../harness.ts';

const test = suite('marks in canonical order');

const FORMS = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const;

test('every normal form is that of the text', () => {
  const marks = ['\u0316', '\u0301', '\u0334', '\u0345', '\u0344', '\u0591', '\u0f71', '\u0f73', '\u3099', '\uff9e', '\u0903', '\u034f', '\u0308', '\u1d165', '\u{1d165}', '\u{1d16d}', '\u0e38', '\u094d'];
  const next = generator(5);
  for (let i = 0; i < 60; i++) {
    const kinds = 1 + Math.floor(next() * marks.length);
    const run = Array.from({ length: 40 + Math.floor(next() * 120) }, () => marks[Math.floor(next() * kinds)]!).join('');
    const text = `e\u0301${run}x${run}\u00a8${run}`;
    for (const form of FORMS) assert.is(orderMarks(text, form.includes('K')).normalize(form), text.normalize(form), `${form} of case ${i}`);
  }
});

test('short runs stay as they are, and every mark there is sorts like normalize', () => {
  assert.is(orderMarks('a\u0316\u0301b', true), 'a\u0316\u0301b');
  const all: string[] = [];
  for (let c = 0; c < 0x20000; c++) if (c < 0xd800 || c > 0xdfff) if (/\p{M}/u.test(String.fromCodePoint(c))) all.push(String.fromCodePoint(c));
  const run = [...all].reverse().join('');
  for (const form of FORMS) assert.is(orderMarks(run, form.includes('K')).normalize(form), run.normalize(form), form);
});

test('a mebibyte of two marks in turn takes a moment', () => {
  const began = performance.now();
  const text = orderMarks('\u0316\u0301'.repeat(2 ** 19), true).normalize('NFKD');
  assert.is(text, '\u0316'.repeat(2 ** 19) + '\u0301'.repeat(2 ** 19));
  assert.ok(performance.now() - began < 60_000, 'the square of it would be many minutes');
});

test.run();
