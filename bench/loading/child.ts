// One load in a process of its own, so that its memory can be read from outside: opens a device, waits for a line, loads, waits for the next line.
import { openDevice } from '../../engine/device.ts';
import { Predictor } from '../../model/predictor.ts';
import { TextEncoder } from '../../model/text_encoder.ts';
import { VisionEncoder } from '../../model/vision_encoder.ts';
import type { LoadTimes, WeightDtype } from '../../model/weight_stream.ts';

const LOADERS = { vision: VisionEncoder, predictor: Predictor, text: TextEncoder } as const;

/** What the child says when it is ready, and again when the weights are on the device. */
export interface ChildLine extends LoadTimes {
  readonly stage: 'ready' | 'loaded';
  readonly seconds: number;
  /** Bytes read from the file, and bytes of all live GPU buffers. */
  readonly fileBytes: number;
  readonly gpuBytes: number;
  readonly adapter: unknown;
}

const [network, folder, dtype, limits] = process.argv.slice(2) as [keyof typeof LOADERS, string, WeightDtype, 'adapter' | 'default'];
const device = await openDevice({ tuning: 'off', limits });
const times = { readMs: 0, convertMs: 0, uploadMs: 0, fileBytes: 0, seconds: 0 };
const lines = process.stdin[Symbol.asyncIterator]();
const say = (stage: ChildLine['stage']): void => console.log(JSON.stringify({ stage, ...times, gpuBytes: device.memory().liveBytes, adapter: device.adapter } satisfies ChildLine));

say('ready');
await lines.next();
const began = performance.now();
const options = {
  dtype,
  progress: ({ status, loaded, readMs, convertMs, uploadMs }: { status: string; loaded: number } & LoadTimes): void => { if (status === 'done') Object.assign(times, { readMs, convertMs, uploadMs, fileBytes: times.fileBytes + loaded }); },
};
await LOADERS[network].load(device, folder, options);
times.seconds = (performance.now() - began) / 1000;
say('loaded');
await lines.next();
process.exit(0);
