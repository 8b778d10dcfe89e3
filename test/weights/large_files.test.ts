// Files beyond 2 and 4 GiB, where Node's own interfaces fail: fs.openAsBlob wraps sizes at 4 GiB, and FileHandle.read of 2 GiB or more ends the process. The files are sparse.
import { openSafetensors } from '../../weights/safetensors.ts';
import { WeightError } from '../../weights/error.ts';
import { openSource } from '../../weights/source.ts';
import { inFolder } from '../folder.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('weights: large files');
const WHY = 'needs a file';
const GIB = 2 ** 30;
const HUGE = 4.5 * GIB;
const TAIL = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** A safetensors file of 4.5 GiB of holes, with eight bytes behind them. */
async function sparse(path: string): Promise<void> {
  const { open } = await import('node:fs/promises');
  const json = new TextEncoder().encode(JSON.stringify({ huge: { dtype: 'U8', shape: [HUGE], data_offsets: [0, HUGE] }, tail: { dtype: 'U8', shape: [8], data_offsets: [HUGE, HUGE + 8] } }));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  const file = await open(path, 'w');
  await file.write(header, 0, header.length, 0);
  await file.write(TAIL, 0, 8, header.length + HUGE);
  await file.close();
}

test.when(isNode, WHY, 'tensors behind 4 GiB are read from where they are', () => inFolder(async (folder) => {
  const path = `${folder}/model.safetensors`;
  await sparse(path);
  const file = await openSafetensors(path);
  assert.is(file.info('tail').begin, HUGE);
  assert.equal(await file.getTensor('tail'), TAIL);
  const part = new Uint8Array(4).fill(9);
  await file.readPart('huge', HUGE - 4, part);
  assert.equal([...part], [0, 0, 0, 0]);
  await file.close();
}));

test.when(isNode, WHY, 'one read of more than 2 GiB does not end the process', () => inFolder(async (folder) => {
  const { open } = await import('node:fs/promises');
  const path = `${folder}/bytes`;
  const file = await open(path, 'w');
  await file.write(TAIL, 0, 8, 2 * GIB);
  await file.close();
  const source = await openSource(path);
  const bytes = await source.read(0, 2 * GIB + 8);
  assert.equal(bytes.subarray(2 * GIB), TAIL);
  assert.is(bytes[2 * GIB - 1], 0);
  await source.close();
}));

test.when(isNode, WHY, 'a Blob whose size was wrapped at 4 GiB is refused, not read wrongly', () => inFolder(async (folder) => {
  const { openAsBlob } = await import('node:fs');
  const path = `${folder}/model.safetensors`;
  await sparse(path);
  const blob = await openAsBlob(path);
  const outcome = await openSafetensors(blob).then((file) => file.getTensor('tail'), (error: unknown) => { if (error instanceof WeightError) return error.code; throw error; });
  if (blob.size < 4 * GIB) assert.is(outcome, 'data-truncated');
  else assert.equal(outcome, TAIL); // a Node that has repaired it
}));

test.run();
