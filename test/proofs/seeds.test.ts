// Failures of the past, one seed each, shrunk: repeated for ever.
import { assert, device, isNode, suite } from '../harness.ts';
import { checkAll, command } from './harness.ts';
import type { Spec } from './harness.ts';
import { TABLE } from './table.ts';

const test = suite('stored seeds');

/** The stored failures, from the sources: the compiled folder holds no JSON. */
async function stored(): Promise<Spec[]> {
  const url = new URL('../../../test/proofs/seeds.json', import.meta.url);
  if (!isNode) return (await fetch(url)).json() as Promise<Spec[]>;
  const { readFile } = await import('node:fs/promises');
  return JSON.parse(await readFile(url, 'utf8')) as Spec[];
}

test('no failure of the past comes back', async () => {
  const specs = await stored();
  assert.ok(Array.isArray(specs));
  const done = await checkAll(await device(), TABLE, specs);
  const failed = done.filter(c => c.judgement.fault).map(c => `${command(c.spec)}: ${c.judgement.fault}`);
  assert.equal(failed, []);
});

test.run();
