// The commands of the tasks: options, examples, and the modules that do the work.
import { TASKS } from '../data/manifest.ts';
import { MODEL, number, oneOf, required, text } from './command_options.ts';
import type { Command, Option } from './command_options.ts';
import { DECODE_OPTIONS, decodeValues } from './decoder_commands.ts';
import { CliError } from './errors.ts';

const FRAMES: Option = { type: 'string', value: 'N', help: 'frames taken from a film or animation', default: '16' };
const QUERY: Option = { type: 'string', value: 'TEXT', help: 'question asked of every picture' };

export const TASK_COMMANDS: Readonly<Record<string, Command>> = {
  embed: {
    summary: 'unit vectors of pictures, films and texts',
    usage: '[FILE…] [--text TEXT]',
    options: { model: MODEL, text: { type: 'string', value: 'TEXT', help: 'embed this text too' }, query: QUERY, frames: FRAMES, output: { type: 'string', value: 'FILE', help: 'safetensors to write' } },
    example: 'vl-jepa embed cat.png --text "a cat" --output vectors.safetensors',
    run: async (v, files) => (await import('./tasks.ts')).embed({ model: text(v, 'model'), files, text: text(v, 'text'), query: text(v, 'query'), frames: number('embed', v, 'frames', { least: 1 }), output: text(v, 'output'), json: v.json === true }),
  },
  classify: {
    summary: 'the nearest of your labels for each picture or film',
    usage: 'FILE… --labels "cat,dog"',
    options: { model: MODEL, labels: { type: 'string', value: 'A,B,…|FILE', help: 'labels with commas, or a text file with one per line' }, query: QUERY, frames: FRAMES, top: { type: 'string', value: 'K', help: 'labels to show', default: '5' } },
    example: 'vl-jepa classify cat.png --labels "cat,dog,red apple"',
    run: async (v, files) => (await import('./tasks.ts')).classifyFiles({ model: text(v, 'model'), files, labels: required('classify', v, 'labels'), query: text(v, 'query'), frames: number('classify', v, 'frames', { least: 1 }), top: number('classify', v, 'top', { least: 1 })!, json: v.json === true }),
  },
  index: {
    summary: 'embeds many files, or texts, into an index on disk for retrieve; damaged files are left out and named',
    usage: 'FILE… --output INDEX',
    options: { model: MODEL, texts: { type: 'string', value: 'A,B,…|FILE', help: 'an index of texts instead of files' }, query: QUERY, frames: FRAMES, output: { type: 'string', value: 'FILE', help: 'index to write: vectors, names and the model\'s fingerprint in one safetensors file' } },
    example: 'vl-jepa index *.png --output gallery.safetensors',
    run: async (v, files) => (await import('./tasks.ts')).writeIndex({ model: text(v, 'model'), files, texts: text(v, 'texts'), query: text(v, 'query'), frames: number('index', v, 'frames', { least: 1 }), output: required('index', v, 'output'), json: v.json === true }),
  },
  retrieve: {
    summary: 'the pictures nearest to a text, or the entries of an index nearest to a text or picture',
    usage: 'FILE…|--index INDEX --query TEXT|--picture FILE',
    options: {
      model: MODEL, query: { type: 'string', value: 'TEXT', help: 'what to look for' }, picture: { type: 'string', value: 'FILE', help: 'look for what is near this picture or film: texts in an index of texts' },
      index: { type: 'string', value: 'INDEX', help: 'search an index instead of files' }, frames: FRAMES, top: { type: 'string', value: 'K', help: 'entries to show', default: '5' },
      search: { type: 'string', value: 'HOW', help: 'exact on the GPU; usearch, nearly exact, whose graph is built once and kept beside the index (npm package usearch); or auto: usearch above 50,000 entries where its graph is there', default: 'auto' },
    },
    example: 'vl-jepa retrieve *.png --query "a red fruit"',
    run: async (v, files) => (await import('./tasks.ts')).retrieveFiles({
      model: text(v, 'model'), files, query: text(v, 'query'), picture: text(v, 'picture'), index: text(v, 'index'), frames: number('retrieve', v, 'frames', { least: 1 }),
      search: oneOf('retrieve', v, 'search', ['auto', 'exact', 'usearch']), top: number('retrieve', v, 'top', { least: 1 })!, json: v.json === true,
    }),
  },
  ask: {
    summary: 'the best of your answers to a question about each picture or film; without answers the decoder speaks',
    usage: 'FILE… --question TEXT [--answers "yes,no"]',
    options: {
      model: MODEL, question: { type: 'string', value: 'TEXT', help: 'the question' }, answers: { type: 'string', value: 'A,B,…|FILE', help: 'candidate answers with commas, or a text file with one per line; without them the decoder answers in its own words' },
      ...DECODE_OPTIONS, frames: FRAMES, top: { type: 'string', value: 'K', help: 'candidates to show', default: '5' },
    },
    example: 'vl-jepa ask cat.png --question "What is this?" --answers "a cat,a dog"',
    run: async (v, files) => {
      const [question, answers] = [required('ask', v, 'question'), text(v, 'answers')];
      if (answers === undefined) return (await import('./caption.ts')).askFiles({ ...decodeValues('ask', v, files), query: question });
      const idle = Object.keys(DECODE_OPTIONS).find(o => o !== 'frames' && v[o] !== undefined && !(o === 'method' && v[o] === 'greedy'));
      if (idle) throw new CliError(`ask: --${idle} was given with --answers, expected one of them (candidates are chosen from, not decoded)`);
      return (await import('./tasks.ts')).askFiles({ model: text(v, 'model'), files, question, answers, frames: number('ask', v, 'frames', { least: 1 }), top: number('ask', v, 'top', { least: 1 })!, json: v.json === true });
    },
  },
  stream: {
    summary: 'watches a film as a live stream and names what is seen where its meaning changes',
    usage: 'FILE --labels "cat,dog"', most: 1,
    options: {
      model: MODEL, labels: { type: 'string', value: 'A,B,…|FILE', help: 'what may be seen: labels with commas, or a text file with one per line' }, query: QUERY,
      'window-s': { type: 'string', value: 'S', help: 'seconds of a window', default: '2' }, 'stride-s': { type: 'string', value: 'S', help: 'seconds from one window to the next', default: '0.5' },
      frames: { type: 'string', value: 'N', help: 'frames of a window; the encoder\'s own number where missing' },
      window: { type: 'string', value: 'N', help: 'embeddings whose variance is looked at', default: '8' }, threshold: { type: 'string', value: 'X', help: 'variance above which the meaning has changed', default: '0.05' },
      'gap-s': { type: 'string', value: 'S', help: 'least seconds between two decodes', default: '2' }, run: { type: 'string', value: 'WHICH', help: 'what is named: the scene before a change, or after it as soon as it is stable', default: 'before' },
      output: { type: 'string', value: 'FILE', help: 'safetensors for the embeddings and their times, which stream takes in place of a film too' },
    },
    example: 'vl-jepa stream film.mp4 --labels "a cat,a dog,nothing"',
    run: async (v, [file]) => {
      const n = (name: string, options: { whole?: boolean; least?: number }): number => number('stream', v, name, options)!;
      return (await import('./stream.ts')).streamFile({
        model: text(v, 'model'), file, labels: required('stream', v, 'labels'), query: text(v, 'query'), windowS: n('window-s', { whole: false }), strideS: n('stride-s', { whole: false }), frames: number('stream', v, 'frames', { least: 1 }),
        window: n('window', { least: 2 }), threshold: n('threshold', { whole: false }), minGapS: n('gap-s', { whole: false }), run: oneOf('stream', v, 'run', ['before', 'after']), output: text(v, 'output'), json: v.json === true,
      });
    },
  },
  eval: {
    summary: 'a benchmark on your own data, beside the paper\'s tables; or every task of the small model in one report; or R@1, R@5, R@10 on one artist of set E4, beside the baselines',
    usage: '--manifest FILE | --preset nano | --artist NAME | --clips | --joined', most: 0,
    options: {
      model: MODEL, manifest: { type: 'string', value: 'FILE', help: 'samples as .jsonl, .csv, or a WebDataset .tar' }, task: { type: 'string', value: 'NAME', help: `${TASKS.join(', ')}; the manifest's own where missing` }, query: QUERY,
      batch: { type: 'string', value: 'N', help: 'samples at a time', default: '32' }, artist: { type: 'string', value: 'NAME', help: 'artist of set E4', default: 'fluent-emoji-flat' },
      clips: { type: 'boolean', help: 'set MS instead: moving sprites with questions, every split and its controls' },
      preset: { type: 'string', value: 'NAME', help: 'nano: one report of every task on pictures and clips, with baselines, controls, captions and selective decoding' },
      joined: { type: 'boolean', help: 'selective decoding on joined clips alone: decodes a second against CIDEr-D beside uniform decoding, and curve.svg' }, readout: { type: 'string', value: 'WHAT', help: 'joined: texts from the bank of all captions, or the decoder', default: 'bank' },
      out: { type: 'string', value: 'DIR', help: 'preset, joined: folder for evaluation.json and evaluation.html, or curve.svg', default: 'out' }, most: { type: 'string', value: 'N', help: 'preset: clips of a split, at most: a look in place of the measurement' },
    },
    example: 'vl-jepa eval --manifest samples.jsonl --json',
    run: async v => {
      const manifest = text(v, 'manifest');
      if (manifest === undefined) {
        const other = ['task', 'query'].find(o => v[o] !== undefined);
        if (other) throw new CliError(`eval: --${other} was given without --manifest, expected both`);
        const preset = text(v, 'preset');
        if (preset !== undefined) return (await import('./evaluate_preset.ts')).evaluatePreset({ preset, model: text(v, 'model'), artist: text(v, 'artist')!, out: text(v, 'out')!, most: number('eval', v, 'most', { least: 8 }), json: v.json === true });
        if (v.joined === true) return (await import('./joined_command.ts')).evaluateJoined({ model: text(v, 'model'), readout: oneOf('eval', v, 'readout', ['bank', 'decoder']), out: text(v, 'out')!, json: v.json === true });
        if (v.clips === true) return (await import('./evaluate_clips.ts')).evaluateClips({ model: text(v, 'model'), artist: text(v, 'artist')!, json: v.json === true });
        return (await import('./evaluate.ts')).evaluate({ model: text(v, 'model'), artist: text(v, 'artist')!, json: v.json === true });
      }
      return (await import('./evaluate_manifest.ts')).evaluateManifest({ model: text(v, 'model'), manifest, task: v.task === undefined ? undefined : oneOf('eval', v, 'task', TASKS), query: text(v, 'query'), batch: number('eval', v, 'batch', { least: 1 }), json: v.json === true });
    },
  },
};
