// Every command: its options, an example, and the module that does the work, loaded when it is called.
import { MODEL, number, required, text } from './command_options.ts';
import type { Command, Values } from './command_options.ts';
import { COMPARE_COMMAND } from './compare_command.ts';
import { DECODER_COMMANDS, TRAIN_DECODER_OPTIONS, trainDecoderCommand } from './decoder_commands.ts';
import { CliError } from './errors.ts';
import { TASK_COMMANDS } from './task_commands.ts';

export { number } from './command_options.ts';
export type { Command, Option, Values } from './command_options.ts';

/** The shapes that a benchmark takes. @throws CliError for another word */
function profileOf(values: Values): 'quick' | 'model' | 'full' {
  const profile = text(values, 'profile')!;
  if (profile !== 'quick' && profile !== 'model' && profile !== 'full') throw new CliError(`bench: --profile is ${profile}, expected quick, model or full`);
  return profile;
}

export const COMMANDS: Readonly<Record<string, Command>> = {
  demo: {
    summary: 'the main job: names pictures by an artist the model never saw, or your own',
    usage: '[FILE…]',
    options: { model: MODEL, out: { type: 'string', value: 'DIR', help: 'where the report goes', default: 'out' } },
    example: 'vl-jepa demo cat.png',
    run: async (v, files) => (await import('./demo.ts')).demo({ model: text(v, 'model'), out: text(v, 'out')!, files, json: v.json === true }),
  },
  info: {
    summary: 'adapter, features, limits, kernel profile',
    usage: '', most: 0, options: {}, example: 'vl-jepa info --json',
    run: async v => (await import('./info.ts')).info(v.json === true),
  },
  inspect: {
    summary: 'what a checkpoint holds, checked against its config',
    usage: 'DIR|FILE', most: 1, options: {}, example: 'vl-jepa inspect checkpoints/nano',
    run: async (v, [path]) => {
      if (!path) throw new CliError('inspect: expected one folder or file');
      const { formatInspection, inspectCheckpoint } = await import('./inspect.ts');
      const report = await inspectCheckpoint(path);
      if (!v.json) console.log(formatInspection(report));
      return report;
    },
    verdict: result => {
      const { path, problems } = result as { path: string; problems: readonly string[] };
      return problems.length ? `inspect: ${path} has ${problems.length === 1 ? 'one problem' : `${problems.length} problems, the first`}: ${problems[0]}` : undefined;
    },
  },
  run: {
    summary: 'one network on stored tensors: the parity tool',
    usage: 'vision|predictor|text --model DIR --input IN.safetensors --output OUT.safetensors', most: 1,
    options: {
      model: { type: 'string', value: 'DIR', help: 'Hugging Face folder of the network' },
      input: { type: 'string', value: 'FILE', help: 'safetensors with the inputs' },
      output: { type: 'string', value: 'FILE', help: 'safetensors to write' },
      dtype: { type: 'string', value: 'f32', help: 'how matrices are held: f32, bf16, f16, int8, or stored (as in the file)', default: 'f32' },
      causal: { type: 'boolean', help: 'predictor: causal attention' },
      layers: { type: 'string', value: 'A:B', help: 'predictor: layers A to B-1, indices as stored' },
      logits: { type: 'boolean', help: 'predictor: take input_ids through the token table, and also write logits' },
      'all-layers': { type: 'boolean', help: 'also write embeddings and layers.i' },
    },
    example: 'vl-jepa run vision --model test/golden/vision/tiny-a --input test/golden/vision/tiny-a/inputs.safetensors --output /tmp/out.safetensors --all-layers',
    run: async (v, [network]) => {
      if (!network) throw new CliError('run: expected one network, vision, predictor or text');
      const { runNetwork } = await import('./run.ts');
      const result = await runNetwork({
        network: network as 'vision', model: required('run', v, 'model'), input: required('run', v, 'input'), output: required('run', v, 'output'), dtype: text(v, 'dtype') as 'f32',
        causal: v.causal === true, layers: text(v, 'layers'), logits: v.logits === true, allLayers: v['all-layers'] === true,
      } as Parameters<typeof runNetwork>[0]);
      if (!v.json) for (const [name, shape] of Object.entries(result.outputs)) console.log(`${name} [${shape.join(', ')}]`);
      return result;
    },
  },
  ...TASK_COMMANDS,
  ...DECODER_COMMANDS,
  train: {
    summary: 'trains a small VL-JEPA on set E4, then on moving sprites and questions; the same command resumes after any kill',
    usage: '--preset nano --out DIR', most: 0,
    options: {
      preset: { type: 'string', value: 'NAME', help: 'recipe: nano, or tiny to try the machinery in seconds', default: 'nano' },
      stage: { type: 'string', value: 'N', help: '1: pictures and names; 2: clips, questions and replayed pictures; decoder: texts from vectors of a trained model', default: '1' },
      from: { type: 'string', value: 'DIR', help: 'weights that stage 2 starts from, or the model that the decoder is for' },
      teacher: { type: 'string', value: 'DIR,…', help: 'frozen models whose view of still drawings stage 2 learns as well (the Y-Encoder then keeps its weights)' },
      ...TRAIN_DECODER_OPTIONS,
      out: { type: 'string', value: 'DIR', help: 'folder of the run', default: 'runs/nano' },
      'leave-out': { type: 'string', value: 'ARTIST', help: 'leave one training artist out and evaluate on it' },
      steps: { type: 'string', value: 'N', help: 'training steps instead of the recipe\'s' },
      batch: { type: 'string', value: 'N', help: 'pictures per step instead of the recipe\'s' },
      lr: { type: 'string', value: 'X', help: 'peak learning rate instead of the recipe\'s' },
      seed: { type: 'string', value: 'N', help: 'seed instead of the recipe\'s' },
      'text-lr': { type: 'string', value: 'X', help: 'multiplier of the Y-Encoder\'s learning rate (the paper fine-tunes with 0.05)' },
      loss: { type: 'string', value: 'NAME', help: 'info-nce, siglip, cosine, l1 or l2 (the last three need --freeze-text, or embeddings collapse)' },
      'micro-batch': { type: 'string', value: 'N', help: 'hold the activations of N pictures at a time: two passes, same gradients' },
      'freeze-text': { type: 'boolean', help: 'the Y-Encoder keeps its first weights' },
      'shuffle-texts': { type: 'boolean', help: 'control: every picture gets another concept\'s caption' },
      'eval-every': { type: 'string', value: 'N', help: 'steps between evaluations of the left-out artist', default: '500' },
      'save-every': { type: 'string', value: 'N', help: 'steps between saved states', default: '200' },
      fresh: { type: 'boolean', help: 'begin again instead of resuming' },
    },
    example: 'vl-jepa train --preset nano --leave-out twemoji --steps 300 --out runs/try',
    run: async v => {
      if (text(v, 'stage') === 'decoder') return trainDecoderCommand(v);
      const { train } = await import('./train.ts');
      const n = (name: string, options?: { whole?: boolean; least?: number }): number | undefined => number('train', v, name, options);
      return train({
        preset: text(v, 'preset')!, stage: n('stage', { least: 1 }), from: text(v, 'from'), teacher: text(v, 'teacher'), out: text(v, 'out')!, leaveOut: text(v, 'leave-out'), steps: n('steps', { least: 1 }), batch: n('batch', { least: 2 }), lr: n('lr', { whole: false }), seed: n('seed'),
        textLr: n('text-lr', { whole: false }), shuffleTexts: v['shuffle-texts'] === true, loss: text(v, 'loss'), microBatch: n('micro-batch', { least: 1 }), freezeText: v['freeze-text'] === true, evalEvery: n('eval-every', { least: 1 })!, saveEvery: n('save-every', { least: 1 })!, fresh: v.fresh === true,
      });
    },
  },
  compare: COMPARE_COMMAND,
  web: {
    summary: 'the page: pictures, films and the camera in a browser on this machine',
    usage: '', most: 0,
    options: { model: MODEL, port: { type: 'string', value: 'N', help: 'port; 0 takes a free one', default: '8321' }, host: { type: 'string', value: 'NAME', help: 'address to listen on; others than this machine need https for WebGPU', default: '127.0.0.1' } },
    example: 'vl-jepa web --port 8321',
    run: async v => (await import('./web/server.ts')).web({ model: text(v, 'model'), port: number('web', v, 'port')!, host: text(v, 'host')!, json: v.json === true }),
  },
  bench: {
    summary: 'kernel times: correct first, then timed beside the adapter\'s ceiling; or whole networks; or beside other WebGPU libraries; or the fastest tiles here, kept for later; or the error of the special functions over all f32 inputs',
    usage: '[kernels|model|peers|tune|precision]', most: 1,
    options: {
      profile: { type: 'string', value: 'NAME', help: 'shapes: quick (the shipped model), model (also the full-size networks, 256 tokens), full (also 2048 tokens)', default: 'quick' },
      only: { type: 'string', value: 'TEXT', help: 'kernels (peers: works, tune: products) whose name or use contains this; precision: functions by name, with commas between' },
      rounds: { type: 'string', value: 'N', help: 'peers: turns, each library once per turn; model: runs per network', default: '9' },
      preset: { type: 'string', value: 'NAME,…', help: 'model: nano, step, block, vit-l, predictor, text, embedding, or all; default: what the adapter does in a minute or two' },
      tokens: { type: 'string', value: 'N', help: 'model: tokens of vit-l, 256 or 2048' },
      pytorch: { type: 'boolean', help: 'model: PyTorch\'s time beside it, where python3 has torch and a GPU' },
      adapter: { type: 'string', value: 'WHERE', help: 'peers: auto (the engine\'s choice, in Node), swiftshader (in Node) or chromium (headless, on SwiftShader)', default: 'auto' },
      sample: { type: 'boolean', help: 'precision: a dense sample of the inputs instead of all' },
      'time-ms': { type: 'string', value: 'MS', help: 'time per kernel (tune: per tile)', default: '300' }, output: { type: 'string', value: 'FILE', help: 'JSON to write' },
    },
    example: 'vl-jepa bench kernels --profile model --only attention --output bench/results/attention.json',
    run: async (v, [what = 'kernels']) => {
      if (what === 'precision') return (await import('../bench/precision.ts')).benchPrecision({ sample: v.sample === true, only: text(v, 'only')?.split(','), output: text(v, 'output'), json: v.json === true });
      if (what === 'model') {
        const tokens = number('bench', v, 'tokens', { least: 1 });
        if (tokens !== undefined && tokens % 256 !== 0) throw new CliError(`bench: --tokens is ${tokens}, expected a multiple of 256, two frames each`);
        return (await import('../bench/model.ts')).benchModel({ preset: text(v, 'preset'), tokens, rounds: number('bench', v, 'rounds', { least: 1 })!, pytorch: v.pytorch === true, output: text(v, 'output'), json: v.json === true });
      }
      if (what === 'tune') return (await import('../bench/tune.ts')).benchTune({ profile: profileOf(v), only: text(v, 'only'), timeMs: number('bench', v, 'time-ms', { least: 1 })!, output: text(v, 'output'), json: v.json === true });
      if (what === 'peers') {
        const { PLACES, benchPeers } = await import('../bench/peers.ts');
        const adapter = PLACES.find(p => p === text(v, 'adapter'));
        if (!adapter) throw new CliError(`bench: --adapter is ${text(v, 'adapter')}, expected ${PLACES.join(', ')}`);
        return benchPeers({ only: text(v, 'only'), rounds: number('bench', v, 'rounds', { least: 1 })!, adapter, output: text(v, 'output'), json: v.json === true });
      }
      if (what !== 'kernels') throw new CliError(`bench: ${what} is unknown, expected kernels, model, peers, tune or precision`);
      return (await import('../bench/kernels.ts')).benchKernels({ timeMs: number('bench', v, 'time-ms', { least: 1 })!, profile: profileOf(v), only: text(v, 'only'), output: text(v, 'output'), json: v.json === true });
    },
  },
};
