import { openManifest } from '../../data/manifest.ts';
import type { Manifest, ManifestItem } from '../../data/manifest.ts';
import { parseCsv } from '../../data/manifest_csv.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('manifest');

const file = (name: string, content: string | Uint8Array): File => new File([content as BlobPart], name);
const all = async (m: Manifest): Promise<ManifestItem[]> => {
  const items: ManifestItem[] = [];
  for await (const item of m.items) items.push(item);
  return items;
};
const lines = (...rows: unknown[]): string => rows.map(r => (typeof r === 'string' ? r : JSON.stringify(r))).join('\n');
const refusal = async (name: string, content: string | Uint8Array, options = {}): Promise<string> => openManifest(file(name, content), options).then(all).then(() => 'nothing was thrown', e => (e as Error).message);

test('JSONL: every shape, with and without a first line that describes the set', async () => {
  const vqa = await openManifest(file('q.jsonl', lines({ task: 'vqa', name: 'POPE', metric: 'pope', classes: ['yes', 'no'] }, '', { image: 'a.png', question: 'Is there a cat?', answer: 'yes', setting: 'random' })));
  assert.equal([vqa.header.task, vqa.header.name, vqa.header.metric], ['vqa', 'POPE', 'pope']);
  const [q] = await all(vqa);
  assert.equal([q!.where, q!.media, q!.question, q!.answers, q!.group], ['line 3', ['a.png'], 'Is there a cat?', ['yes'], 'random']);
  const of = async (row: object): Promise<[string, ManifestItem]> => {
    const m = await openManifest(file('x.jsonl', JSON.stringify(row)));
    return [m.header.task, (await all(m))[0]!];
  };
  assert.equal((await of({ frames: ['1.png', '2.png'], label: 'run' }))[1].media, ['1.png', '2.png']);
  assert.equal((await of({ video: 'a.gif', caption: 'a dog' })).map((v, i) => (i ? (v as ManifestItem).text : v)), ['retrieval', 'a dog']);
  assert.equal((await of({ image: 'a', references: ['x', 'y'] })).map((v, i) => (i ? (v as ManifestItem).references : v)), ['caption', ['x', 'y']]);
  assert.equal((await of({ caption: 'p', caption2: 'q', negative_caption: 'n' })).map((v, i) => (i ? [(v as ManifestItem).p1, (v as ManifestItem).p2, (v as ManifestItem).negative] : v)), ['pairs', ['p', 'q', 'n']]);
  assert.equal((await of({ image: 'a', question: 'how many?', answer: 3, candidates: [1, 2, 3] }))[1].candidates, ['1', '2', '3']);
});

test('CSV: quotes, line breaks in fields, lists with bars, CRLF and a byte order mark', async () => {
  const m = await openManifest(file('a.csv', '\uFEFFimage,question,answer,candidates\r\n"a ""b"", c.png","what\nis it?",cat,cat|dog\r\n\r\nd.png,x,dog,cat|dog'));
  const items = await all(m);
  assert.equal(items.map(i => [i.where, i.media[0], i.question, i.answers[0], i.candidates]), [['line 2', 'a "b", c.png', 'what\nis it?', 'cat', ['cat', 'dog']], ['line 5', 'd.png', 'x', 'dog', ['cat', 'dog']]]);
  assert.equal(parseCsv('a,b\n1,\n', 'x').map(r => r.cells), [{ a: '1', b: '' }]);
});

test('faults name the file and the line', async () => {
  for (const [name, content, said] of [
    ['x.jsonl', lines({ image: 'a', label: 'b' }, '{"image": '), /^x.jsonl: line 2: expected one JSON object per line, got a text that does not parse/],
    ['x.jsonl', lines({ image: 'a', label: 'b' }, [1]), /^x.jsonl: line 2: expected a JSON object, got a list$/],
    ['x.jsonl', lines({ image: 'a', label: 'b' }, { image: 'c' }), /^x.jsonl: line 2: label is missing, expected image, label for the task class$/],
    ['x.jsonl', lines({ image: 'a', label: { x: 1 } }), /^x.jsonl: line 1: label is \{"x":1\}, expected a text$/],
    ['x.jsonl', lines({ label: 'b' }), /line 1: image is missing/],
    ['x.jsonl', lines({ task: 'dance' }, { image: 'a' }), /line 1: task is "dance", expected one of class, retrieval, /],
    ['x.jsonl', lines({ task: 'class', classes: [''] }, { image: 'a', label: 'b' }), /line 1: classes is \[""\], expected a list of texts/],
    ['x.jsonl', lines({ task: 'class', classes: ['crane', 'cat', 'crane'] }, { image: 'a', label: 'cat' }), /line 1: classes has "crane" twice, expected different texts/],
    ['x.jsonl', lines({ image: 'a' }), /line 1: the fields image name no task/],
    ['x.jsonl', lines({ image: 'a', question: 'q', answer: ['x', ' '] }), /line 1: answer\[1\] is " ", expected a text/],
    ['x.jsonl', lines({ references: ['a'] }), /image is missing, expected image or prediction beside references/],
    ['x.jsonl', '', /^x.jsonl: has no row/], ['x.csv', '', /^x.csv: is empty/], ['x.csv', 'a,a\n1,2', /line 1: column a is there twice/],
    ['x.csv', 'image,label\na', /^x.csv: line 2: 1 fields, expected 2 \(image, label\)$/], ['x.csv', 'image,label\n"a,b', /line 2: a quoted field never ends/], ['x.csv', 'image,label\n"a"b,c', /line 2: "b" follows a closing quote/],
    ['x.txt', 'a', /^x.txt: is no manifest by its name/],
  ] as const) assert.match(await refusal(name, content), said);
});

const entry = (name: string, body: string | Uint8Array): { header: { name: string; size: number; type: 'file' }; body: Uint8Array } => {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  return { header: { name, size: bytes.length, type: 'file' }, body: bytes };
};

test.when(isNode, 'packs a tar with a package that pages of the tests have not', 'WebDataset: samples by key, frames in order, json, txt and cls, also compressed', async () => {
  const { packTar } = await import('modern-tar');
  const tar = await packTar([
    entry('dataset.json', JSON.stringify({ task: 'class', name: 'K400', classes: ['run', 'jump'] })),
    entry('train.v1/0001.2.png', Uint8Array.of(2)), entry('train.v1/0001.10.png', Uint8Array.of(10)), entry('train.v1/0001.cls', 'run\n'),
    entry('train.v1/0002.jpg', Uint8Array.of(7)), entry('train.v1/0002.json', JSON.stringify({ label: 'jump', group: 'hard' })),
  ]);
  const packed = new Uint8Array(await new Response(new Blob([tar as BlobPart]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer());
  for (const [name, bytes] of [['a.tar', tar], ['a.tar.gz', packed]] as const) {
    const m = await openManifest(file(name, bytes));
    assert.equal([m.header.task, m.header.name, m.header.classes], ['class', 'K400', ['run', 'jump']]);
    const items = await all(m);
    assert.equal(items.map(i => [i.where, i.label, i.group, i.media.map(b => (typeof b === 'string' ? 0 : b.bytes[0]))]), [['sample train.v1/0001', 'run', undefined, [2, 10]], ['sample train.v1/0002', 'jump', 'hard', [7]]]);
  }
  assert.match(await refusal('x.tar', new Uint8Array(700).fill(65)), /^x.tar: is no whole tar file/);
  assert.match(await refusal('b.tar', await packTar([entry('1.json', '{'), entry('1.png', 'x')])), /^b.tar: sample 1: 1.json does not parse as JSON/);
  assert.match(await refusal('c.tar', tar.subarray(0, tar.length - 1500)), /^c.tar: (is no whole tar file|ends inside)/);
});

test.run();
