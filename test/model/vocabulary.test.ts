// A tokenizer must fit its token table; tokens that were added above it, as Gemma 3 has one, do not count.
import { ConfigError } from '../../model/config.ts';
import { checkVocabulary, vocabularySize } from '../../model/token_batch.ts';
import { assert, suite } from '../harness.ts';

const test = suite('vocabulary');
const tokenizer = (size: number) => ({ vocabSize: size, encode: () => [] });

test('the vocabulary counts, not what was added to it', () => {
  const json = { added_tokens: [{ id: 3, content: '<image>' }], model: { vocab: { a: 0, b: 2, c: 1 } } };
  assert.is(vocabularySize(json), 3);
  checkVocabulary('text', tokenizer(4), 3, json);
  assert.throws(() => checkVocabulary('text', tokenizer(4), 2, json), (e: unknown) => e instanceof ConfigError && /the text tokenizer has 3 entries, expected at most 2/.test(e.message));
  assert.throws(() => checkVocabulary('text', tokenizer(4), 3), (e: unknown) => e instanceof ConfigError);
  checkVocabulary('text', undefined, 1);
  for (const odd of [null, [], {}, { model: null }, { model: { vocab: [] } }]) assert.is(vocabularySize(odd), 0);
});

test.run();
