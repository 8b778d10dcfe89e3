// What computes, how much memory it holds, how long each stage takes; and the state of the page in its corner.
import { element, make } from './elements.ts';
import type { Machine, StageTime } from './protocol.ts';

const STAGES: Readonly<Record<StageTime['stage'], string>> = { decode: 'reading a frame', vision: 'vision encoder', predict: 'predictor', text: 'last text' };

const time = (ms: number): string => (ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);
const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** @returns why there is no WebGPU, or nothing where there is */
export async function whyNoGpu(): Promise<string | undefined> {
  if (!isSecureContext) return 'This page was loaded over an insecure connection, over which browsers do not offer it.';
  if (!navigator.gpu) return 'The browser does not know it, or it is switched off.';
  return (await navigator.gpu.requestAdapter().catch(() => null)) ? undefined : 'The browser knows it, but found no graphics processor that it may use.';
}

export class MachinePanel {
  private readonly list = element('machine', HTMLDListElement);
  private readonly state = element('state', HTMLDivElement);
  private readonly text = element('state-text', HTMLSpanElement);
  private readonly bar = element('state-bar', HTMLProgressElement);
  /** Nothing goes on: later news of progress change nothing. */
  private over = false;

  private set(name: string, value: string, wide = false): void {
    let row = [...this.list.children].find(r => r.firstElementChild?.textContent === name);
    if (!row) {
      row = make('div', wide ? { kind: 'wide' } : {}, make('dt', { text: name }), make('dd'));
      this.list.append(row);
    }
    row.lastElementChild!.textContent = value;
  }

  busy(what: string, part: number): void {
    if (this.over) return;
    this.state.dataset.kind = 'busy';
    if (this.text.textContent !== what) this.text.textContent = what; // a live region speaks whenever it is written
    this.bar.hidden = false;
    this.bar.value = part;
  }

  ready(): void {
    if (this.over) return;
    this.state.dataset.kind = 'ready';
    if (this.text.textContent !== 'Ready') this.text.textContent = 'Ready';
    this.bar.hidden = true;
  }

  bad(what: string): void {
    this.over = true;
    this.state.dataset.kind = 'bad';
    this.text.textContent = what;
    this.bar.hidden = true;
  }

  found(machine: Machine): void {
    this.set('adapter', machine.adapter, true);
    this.set('parameters', machine.parameters.toLocaleString('en'));
    this.set('pictures', `${machine.side} × ${machine.side} pixels`);
    this.set('text from', machine.decoder ? 'the text decoder' : 'the nearest name');
    this.set('GPU memory', '–');
    for (const stage of ['decode', 'vision', 'predict', 'text'] as const) this.set(STAGES[stage], '–');
  }

  measured({ times, liveBytes, peakBytes }: { times: readonly StageTime[]; liveBytes: number; peakBytes: number }): void {
    this.set('GPU memory', `${mib(liveBytes)} (peak ${mib(peakBytes)})`);
    for (const { stage, lastMs, meanMs } of times) this.set(STAGES[stage], time(stage === 'text' ? lastMs : meanMs));
  }
}
