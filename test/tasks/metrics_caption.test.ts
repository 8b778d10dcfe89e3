import { captionTokens } from '../../tasks/caption_tokens.ts';
import { cider, ciderD } from '../../tasks/metrics_caption.ts';
import { assert, close, isNode, suite } from '../harness.ts';

const test = suite('caption metrics');

const WORDS = (text: string): string[] => text.split(' ').filter(Boolean);
/** Items of spec 1.14. */
const ITEMS = [
  { caption: 'a man is chopping an onion', references: ['a man chops an onion', 'a person is chopping an onion on a board'] },
  { caption: 'a dog runs on the grass', references: ['a dog is running on grass'] },
  { caption: 'she pours oil into the pan', references: ['a woman pours oil into a pan', 'oil is poured into the pan'] },
];

interface Golden { tokens: [string, string][]; items: { caption: string; references: string[]; ciderD: number; cider: number }[] }
async function golden(): Promise<Golden> {
  const { readFile } = await import('node:fs/promises');
  return JSON.parse(await readFile(new URL('../../../test/golden/captions/scores.json', import.meta.url), 'utf8')) as Golden;
}

test('CIDEr-D of the specification\'s vector, to ten digits', () => {
  for (const tokens of [WORDS, captionTokens]) {
    const { mean, perItem } = ciderD(ITEMS, { tokens });
    close([...perItem], [3.4061985764, 1.9827923162, 3.3514439088], { abs: 1e-10, name: 'items' });
    close([mean], [2.9134782671], { abs: 1e-10, name: 'mean' });
  }
});

test.when(isNode, 'reads the golden file from disk', 'CIDEr-D and CIDEr of 40 items as the Python scorers give them', async () => {
  const { items } = await golden();
  close([...ciderD(items, { tokens: WORDS }).perItem], items.map(i => i.ciderD), { abs: 1e-10, name: 'CIDEr-D' });
  close([...cider(items, { tokens: WORDS }).perItem], items.map(i => i.cider), { abs: 1e-10, name: 'CIDEr' });
  assert.ok(items.some(i => i.ciderD > 5) && items.some(i => i.ciderD === 0), 'the file has captions that are right and that are empty');
});

test.when(isNode, 'reads the golden file from disk', 'words as Stanford\'s tokenizer splits them', async () => {
  const { tokens } = await golden();
  assert.ok(tokens.length > 40);
  for (const [text, words] of tokens) assert.is(captionTokens(text).join(' '), words, text);
});

test('a caption equal to its only reference scores 10, one that shares no word 0, an empty one 0', () => {
  const items = [
    { caption: 'a red kite over the sea', references: ['a red kite over the sea'] }, { caption: 'nothing alike', references: ['two dogs play in snow'] },
    { caption: '', references: ['an old house by the road'] }, { caption: 'ok', references: [''] },
  ];
  close([...ciderD(items).perItem], [10, 0, 0, 0], { abs: 1e-12, name: 'CIDEr-D' });
  assert.is(ciderD([]).mean, 0);
});

test('length and repetition cost in CIDEr-D alone; one item without a corpus has no weights', () => {
  const corpus = [['a cat sleeps on a mat'], ['two birds fly'], ['rain falls']];
  const long = { caption: 'a cat sleeps on a mat a cat sleeps on a mat', references: ['a cat sleeps on a mat'] };
  assert.ok(ciderD([long], { corpus }).mean < 0.75 * cider([long], { corpus }).mean);
  assert.is(ciderD([long]).mean, 0, 'ln 1 = 0');
  assert.throws(() => ciderD([{ caption: 'x', references: [] }]), /item 0 has no reference/);
});

test.run();
