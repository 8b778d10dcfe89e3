// What a process takes while it loads, measured from outside: a fixed amount beside the weights, whatever the file's size.
import { inFolder } from '../folder.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('loading memory');
const LINUX = isNode && process.platform === 'linux';

/** MiB that a process may take beside its GPU buffers, and MiB by which a file of eight times the size may raise that. */
const MOST = 300, MORE = 48;

test.when(LINUX, 'reads /proc/PID/status', `a process that loads 200 MB takes at most ${MOST} MiB beside its GPU buffers, and no more than for 25 MB`, async () => {
  const { makeFolder } = await import('../../bench/loading/folder.ts');
  const { measureLoad } = await import('../../bench/loading/measure.ts');
  const taken: number[] = [];
  for (const layers of [1, 8]) {
    await inFolder(async (folder) => {
      const bytes = await makeFolder(folder, 'vision', 'F32', { hidden_size: 512, num_attention_heads: 8, num_hidden_layers: layers * 2 });
      const { row } = await measureLoad({ network: 'vision', folder, dtype: 'f32' });
      assert.is(row.fileBytes, bytes, 'everything was read');
      assert.ok(row.gpuBytes >= bytes, 'and is on the device');
      taken.push(row.processMiB);
    });
  }
  assert.ok(Math.max(...taken) <= MOST, `${taken.map(Math.round).join(' and ')} MiB beside the buffers`);
  assert.ok(taken[1]! - taken[0]! <= MORE, `${taken.map(Math.round).join(' and ')} MiB beside the buffers of 25 and 200 MB`);
});

test.when(LINUX, 'reads /proc/PID/status', 'f32 weights held as bf16 and as whole numbers leave no arrays behind', async () => {
  const { makeFolder } = await import('../../bench/loading/folder.ts');
  const { measureLoad } = await import('../../bench/loading/measure.ts');
  await inFolder(async (folder) => {
    await makeFolder(folder, 'vision', 'F32', { hidden_size: 512, num_attention_heads: 8, num_hidden_layers: 16 });
    for (const dtype of ['bf16', 'int8'] as const) {
      const { row } = await measureLoad({ network: 'vision', folder, dtype });
      assert.ok(row.processMiB <= MOST, `${dtype}: ${Math.round(row.processMiB)} MiB beside the buffers`);
    }
  });
});

test.run();
