// `vl-jepa eval --joined`: selective decoding on joined clips alone, as a table and out/curve.svg.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TEST_ARTIST } from '../data/e4.ts';
import { movingCaptions } from '../data/questions.ts';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import type { Tensor } from '../engine/tensor.ts';
import { TextDecoder } from '../model/text_decoder.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { checkpointFolder, shortPath } from './checkpoint_path.ts';
import { curveChart } from './curve_chart.ts';
import { clipStage } from './evaluate_clips.ts';
import { bankText, decoderText, joinedFigures } from './evaluate_joined.ts';
import type { JoinedFigures, JoinedOptions } from './evaluate_joined.ts';
import { presetFolder } from './evaluate_preset.ts';
import { joinedTable, ratioSentence } from './evaluation_tables.ts';
import { tableLines } from './evaluation_report.ts';

export interface JoinedCommandOptions {
  model?: string | undefined;
  /** Where texts come from: the nearest of all captions, or the Y-Decoder. */
  readout: 'bank' | 'decoder';
  out: string;
  json: boolean;
  joined?: JoinedOptions;
  device?: Device;
}

/** Sweeps the decode rate on joined clips of the unseen artist. @param options checkpoint (that of the preset nano), readout, folder @returns curves, gains and ratios with their range over seeds @throws CliError, WeightError without a decoder */
export async function evaluateJoined({ model: given, readout, out, json, joined, device: own }: JoinedCommandOptions): Promise<JoinedFigures & { checkpoint: string; adapter: string }> {
  const folder = await checkpointFolder(given ?? presetFolder('nano'));
  const device = own ?? (await openDevice());
  const model = await VLJEPA.fromPretrained(folder, { device });
  let decoder: TextDecoder | undefined;
  let bank: Tensor | undefined;
  try {
    decoder = readout === 'decoder' ? await TextDecoder.fromPretrained(folder, { model }) : undefined;
    await decoder?.check(model);
    const { e4, items } = await clipStage(model, TEST_ARTIST);
    const names = e4.concepts.map(c => c.name);
    const texts = movingCaptions(names);
    bank = decoder ? undefined : model.encodeText(texts, { batchSize: 256 });
    const figures = await joinedFigures(model, items, names, decoder ? decoderText(decoder) : bankText(model, texts, bank!), decoder ? 'the decoder, greedy' : 'the nearest of all captions', joined);
    await mkdir(out, { recursive: true });
    await writeFileAtomic(join(out, 'curve.svg'), curveChart(figures.curve, `Selective decoding on joined clips, ${figures.text}`));
    if (!json) for (const line of [...tableLines(joinedTable(figures)), `  ${ratioSentence(figures)}`, '', `picture     ${join(out, 'curve.svg')}`]) console.log(line);
    return { checkpoint: shortPath(folder), adapter: device.adapter.notice, ...figures };
  } finally {
    bank?.dispose();
    decoder?.dispose();
    model.dispose();
  }
}
