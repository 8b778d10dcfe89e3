// Vectors of texts that are kept between calls: the same as computed ones, and of no other model, texts or file.
import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { TINY } from '../../train/presets.ts';
import { inFolder } from '../folder.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { WHY } from './process.ts';

const test = suite('kept vectors of texts');

const TEXTS = Array.from({ length: 40 }, (_, i) => `text number ${i}, of some length`);

async function modelOf(seed: number): Promise<VLJEPA> {
  return VLJEPA.fromConfig(TINY.model, { device: await device(), seed, init: TINY.init as never, tokenizer: await loadTokenizerJson() });
}

test.when(isNode, WHY, 'a second call takes what the first one kept; damaged files and those of another model are written anew', () => inFolder(async folder => {
  const { readFile, readdir, writeFile } = await import('node:fs/promises');
  const { createHash } = await import('node:crypto');
  const { bankPath, keptBank } = await import('../../app/text_bank.ts');
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder;
  const [model, other] = [await modelOf(3), await modelOf(4)];
  /** What a call gives, and how many texts it encoded. */
  const call = async (of = model, texts = TEXTS): Promise<{ values: Float32Array; encoded: number }> => {
    let encoded = 0;
    const encode = of.encodeText.bind(of);
    of.encodeText = (list, options) => {
      encoded += (list as readonly string[]).length;
      return encode(list, options);
    };
    const bank = await keptBank(of, texts);
    of.encodeText = encode;
    assert.equal(bank.labels, texts);
    const values = await bank.vectors.read();
    bank.vectors.dispose();
    return { values, encoded };
  };
  try {
    const path = await bankPath(TEXTS);
    assert.ok(path.startsWith(`${folder}/vl-jepa/texts/`), path);
    const first = await call();
    assert.is(first.encoded, 40);
    const file = await readFile(path);
    const second = await call();
    assert.equal([second.encoded, second.values], [4, first.values]);
    const line = file.indexOf(10);
    const wrong = Buffer.from(file);
    wrong[line + 9]! ^= 64;
    for (const bytes of [wrong, file.subarray(0, -4), file.subarray(0, line), Buffer.from('null\n'), Buffer.from('{'), Buffer.alloc(0)]) {
      await writeFile(path, bytes);
      const anew = await call();
      assert.equal([anew.encoded, anew.values], [40, first.values], `a file of ${bytes.length} bytes`);
      assert.equal(await readFile(path), file);
    }
    const zeros = Buffer.alloc(file.length - line - 1); // whole, but not what this engine computes
    const { key } = JSON.parse(file.toString('utf8', 0, line)) as { key: string };
    await writeFile(path, Buffer.concat([Buffer.from(`${JSON.stringify({ key, sha256: createHash('sha256').update(zeros).digest('hex') })}\n`), zeros]));
    assert.equal((await call()).values, first.values);
    const foreign = await call(other);
    assert.is(foreign.encoded, 40);
    assert.not.equal(foreign.values, first.values);
    assert.equal((await call(other)).encoded, 4);
    assert.equal((await call()).encoded, 40);
    assert.equal((await call(model, TEXTS.slice(1))).encoded, 39);
    assert.is((await readdir(`${folder}/vl-jepa/texts`)).length, 2, 'one file for each list');
    await writeFile(`${folder}/file`, '');
    process.env.XDG_CACHE_HOME = `${folder}/file`; // where no folder can be made
    const warnings: string[] = [];
    const warn = process.emitWarning;
    process.emitWarning = ((text: string) => { warnings.push(text); }) as never;
    const unkept = await call();
    process.emitWarning = warn;
    assert.equal(unkept.values, first.values);
    assert.match(warnings.join('\n'), /^caption: the vectors of 40 texts could not be kept in .*; they will be computed again next time$/);
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    model.dispose();
    other.dispose();
  }
}));

test.run();
