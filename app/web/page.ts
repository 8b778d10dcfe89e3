// The page: starts the worker, and joins what people do with what the model says.
import { Client } from './client.ts';
import { clock, element, make, sayTrouble, showBars } from './elements.ts';
import { isNewest, keepOffline } from './keep_offline.ts';
import { MachinePanel, whyNoGpu } from './machine_panel.ts';
import { defaultStream, MOST_WINDOWS } from './protocol.ts';
import type { Scored, StreamSettings, Told } from './protocol.ts';
import { loadSample, SAMPLE_FILM_S, SAMPLES } from './sample_film.ts';
import { wireSettings } from './settings_form.ts';
import { Stage } from './stage.ts';
import { Timeline } from './timeline.ts';

/** A live stream begins anew after it, s, or before it is full. */
const LIVE_S = 150;

const stage = new Stage();
const timeline = new Timeline();
const panel = new MachinePanel();
let client: Client;
let settings: StreamSettings = defaultStream(0);
/** Number of the stream that is shown: news of another is let go. */
let turn = 0;
let current = -1;
let following = true;
let sought = '';
/** Whether the names of all drawings have been read. */
let namesKnown = false;

/** Nothing is computed any more: a message that stays. */
let stopped = false;

function fail(error: unknown): void {
  if (stopped) return;
  sayTrouble(error instanceof Error ? error.message : String(error));
  if (document.body.dataset.ready !== undefined) panel.ready(); // what failed is no longer under way
}

function stop(state: string, message: string): void {
  if (stopped) return;
  stopped = true;
  panel.bad(state);
  sayTrouble(message, true);
}
const attempt = (work: () => Promise<void>): void => void work().catch(fail);

function heard(news: Told): void {
  if ('turn' in news && news.turn !== turn) return;
  switch (news.tell) {
    case 'progress': return panel.busy(news.what, news.part);
    case 'names': {
      namesKnown = true;
      panel.ready();
      element('labels-title', HTMLElement).closest('section')!.querySelector<HTMLInputElement>('input[value=names]')!.disabled = false;
      return refresh();
    }
    case 'window': {
      timeline.addWindow({ timeS: news.timeS, variance: news.variance }, news.thumb);
      element('ask-button', HTMLButtonElement).disabled = element('find-button', HTMLButtonElement).disabled = false;
      if (following) choose(news.index);
      return timeline.tally();
    }
    case 'caption': {
      timeline.setCaption(news);
      if (timeline.points[current]) sayCaption();
      return timeline.tally();
    }
    case 'end': return ended();
    case 'machine': return panel.measured(news);
    case 'trouble': return news.fatal ? stop('It stopped', news.message) : fail(new Error(news.message));
  }
}

function ended(): void {
  following = false;
  if (stage.shown === 'sample' || stage.shown === 'video') {
    choose(0);
    stage.run(true, false);
  } else refresh();
}

let looking = false;

/** Shows the labels of a window; while one answer is awaited, only the latest wish is kept. */
function choose(index: number): void {
  current = index;
  timeline.choose(index);
  sayCaption();
  refresh();
}

function refresh(): void {
  if (looking || current < 0) return;
  looking = true;
  const index = current;
  client.call('look', { index }).then(({ labels }) => {
    element('bars-none', HTMLElement).hidden = labels.length > 0;
    const bars = element('bars', HTMLOListElement);
    if (index === current) bars.classList.remove('stale');
    showBars(bars, labels.slice(0, 8));
    if (!following) sayBest(labels[0]);
  }, fail).finally(() => {
    looking = false;
    if (index !== current) refresh();
  });
}

let saying: ReturnType<typeof setTimeout>;

/** Tells those who do not see the bars what the best label is, once it stays. */
function sayBest(best: Scored | undefined): void {
  clearTimeout(saying);
  saying = setTimeout(() => { element('bars-says', HTMLElement).textContent = best ? `Best label: ${best.label}, ${best.score.toFixed(2)}` : ''; }, 600);
}

function sayCaption(): void {
  const point = timeline.points[current];
  const caption = point && timeline.captionAt(point.timeS);
  stage.say(caption?.text ?? '');
}

/** Begins a new stream. @returns its number */
function begin(): number {
  timeline.clear(settings.threshold);
  current = -1;
  following = true;
  sought = '';
  element('found', HTMLOutputElement).textContent = '';
  element('bars', HTMLOListElement).classList.add('stale'); // what they say is of the last stream
  showBars(element('ask-bars', HTMLOListElement), []);
  element('camera', HTMLButtonElement).setAttribute('aria-pressed', 'false');
  for (const button of document.querySelectorAll('#samples button')) button.setAttribute('aria-pressed', 'false');
  timeline.tally();
  return ++turn;
}

async function openFile(file: Blob, name: string): Promise<void> {
  const mine = begin();
  const video = file.type.startsWith('video/') || /\.(mp4|m4v|mov|webm|mkv)$/i.test(name);
  if (video) stage.showVideo(file);
  else stage.showImage(file, name);
  await send(mine, file, name);
}

/** Lets the worker look at a file; that another one was opened meanwhile is no trouble. */
async function send(mine: number, file: Blob, name: string): Promise<void> {
  try {
    await client.call('open', { turn: mine, file, name, settings });
  } catch (error) {
    if (mine === turn) throw error;
  }
}

async function openSample(name: string, button: HTMLButtonElement): Promise<void> {
  const mine = begin();
  button.setAttribute('aria-pressed', 'true');
  const image = await loadSample(name);
  const canvas = make('canvas', { width: '240', height: '240' });
  canvas.getContext('2d')!.drawImage(image, 0, 0, 240, 240);
  const file = await new Promise<Blob | null>(done => canvas.toBlob(done, 'image/png'));
  if (mine !== turn || !file) return; // another was opened while the drawing was loaded
  stage.showImage(file, `Drawing: ${SAMPLES.find(([n]) => n === name)![1]}`);
  await send(mine, file, `${name}.png`);
}

async function playSample(): Promise<void> {
  await stage.loadSample();
  const mine = begin();
  stage.showSample();
  await client.call('live', { turn: mine, settings, atOnce: 8 });
  const step = 1 / settings.framesPerSecond;
  for (let t = 0; t < SAMPLE_FILM_S && mine === turn; t += step) {
    const bitmap = await stage.sampleFrame(t);
    if (mine !== turn) return bitmap.close(); // it would be a frame of the next stream
    await client.call('frame', { bitmap, timeS: t }, [bitmap]);
    stage.seek(t);
  }
  if (mine === turn) await client.call('finish', null);
}

/** Whether the browser asks for the camera just now. */
let asking = false;
const watching = (): boolean => stage.shown === 'camera';

async function useCamera(): Promise<void> {
  if (watching()) return stage.stopCamera(); // the loop below sees it, and ends the stream
  if (asking) return; // pressed twice: the first camera would never be let go
  const button = element('camera', HTMLButtonElement);
  asking = true;
  try {
    await stage.showCamera();
  } catch (error) {
    throw new Error(`The camera cannot be used: ${error instanceof DOMException && error.name === 'NotAllowedError' ? 'it was not allowed' : error instanceof DOMException && error.name === 'NotFoundError' ? 'there is none' : String(error)}.`);
  } finally {
    asking = false;
  }
  let mine = turn;
  try {
    do {
      mine = begin();
      button.setAttribute('aria-pressed', 'true');
      button.textContent = 'Stop the camera';
      await client.call('live', { turn: mine, settings, atOnce: 1 });
      await watchCamera(mine);
    } while (mine === turn && watching());
  } finally {
    if (mine === turn) {
      stage.stopCamera(); // it failed, nobody ended it
      await client.call('finish', null).catch(fail); // what was seen stays, to be searched
    }
    if (!watching()) {
      button.textContent = 'Use the camera';
      button.setAttribute('aria-pressed', 'false');
    }
  }
}

/** Sends frames until another stream begins or this one is full. What is faster than the model is dropped, because the next frame waits for the last. */
async function watchCamera(mine: number): Promise<void> {
  const began = performance.now();
  const { framesPerSecond, strideFrames } = settings;
  const lastS = Math.min(LIVE_S, ((MOST_WINDOWS - 1) * strideFrames) / framesPerSecond);
  for (let n = 0; mine === turn && watching(); n++) {
    const timeS = (performance.now() - began) / 1000;
    if (timeS > lastS) return;
    const bitmap = await stage.cameraFrame();
    if (bitmap && mine === turn) await client.call('frame', { bitmap, timeS }, [bitmap]);
    if (sought && n % 8 === 7) await find();
    await new Promise(done => setTimeout(done, Math.max(0, began + ((n + 1) * 1000) / framesPerSecond - performance.now())));
  }
}

async function setLabels(): Promise<void> {
  const all = document.querySelector<HTMLInputElement>('input[name=bank]:checked')?.value === 'names';
  element('label-field', HTMLLabelElement).hidden = all;
  const labels = element('labels', HTMLTextAreaElement).value.split(/[,\n]/).map(l => l.trim()).filter(Boolean);
  await client.call('labels', { labels: all ? 'names' : labels });
  if (namesKnown) panel.ready();
  refresh();
}

async function find(): Promise<void> {
  if (!sought) return timeline.showFound(undefined);
  const mine = turn;
  const { curve, best } = await client.call('find', { text: sought });
  if (mine !== turn) return; // of the last stream
  timeline.showFound(curve);
  const point = timeline.points[best];
  if (point) element('found', HTMLOutputElement).textContent = `nearest at ${clock(point.timeS)} (${curve[best]!.toFixed(2)})`;
  if (point && !following) {
    stage.seek(point.timeS);
    choose(best);
  }
}

async function ask(): Promise<void> {
  const answers = element('answers', HTMLInputElement).value.split(',').map(a => a.trim()).filter(Boolean);
  if (current < 0) throw new Error('There is no picture yet; open one first.');
  const mine = turn;
  const said = await client.call('ask', { index: current, question: element('question', HTMLInputElement).value.trim(), answers });
  if (mine === turn) showBars(element('ask-bars', HTMLOListElement), said);
}

function wire(): void {
  const file = element('file', HTMLInputElement);
  file.addEventListener('change', () => {
    const [chosen] = file.files ?? [];
    if (chosen) attempt(() => openFile(chosen, chosen.name));
    file.value = '';
  });
  const screen = element('screen', HTMLDivElement);
  for (const kind of ['dragover', 'dragleave', 'drop'] as const) {
    document.addEventListener(kind, event => {
      screen.classList.toggle('over', kind === 'dragover');
      const dropped = kind === 'drop' ? event.dataTransfer?.files[0] : undefined;
      if (dropped) attempt(() => openFile(dropped, dropped.name));
    });
  }
  element('camera', HTMLButtonElement).addEventListener('click', () => attempt(useCamera));
  element('sample-film', HTMLButtonElement).addEventListener('click', () => attempt(playSample));
  let typed: ReturnType<typeof setTimeout>;
  element('labels', HTMLTextAreaElement).addEventListener('input', () => {
    clearTimeout(typed);
    typed = setTimeout(() => attempt(setLabels), 250);
  });
  for (const radio of document.querySelectorAll('input[name=bank]')) radio.addEventListener('change', () => attempt(setLabels));
  const submit = (id: string, work: () => Promise<void>): void => element(id, HTMLFormElement).addEventListener('submit', event => {
    event.preventDefault();
    attempt(work);
  });
  submit('ask', ask);
  submit('find', () => {
    sought = element('sought', HTMLInputElement).value.trim();
    return find();
  });
  wireSettings(() => settings, wanted => { settings = wanted; });
  timeline.chosen = index => {
    following = false;
    stage.seek(timeline.points[index]!.timeS);
    choose(index);
  };
  stage.moved = timeS => {
    const index = timeline.indexAt(timeS);
    if (index !== current && timeline.points.length) choose(index);
  };
}

function drawSamples(): void {
  element('samples', HTMLDivElement).append(...SAMPLES.map(([name, what]) => {
    const button = make('button', { type: 'button', 'aria-label': `Drawing of ${what}`, 'aria-pressed': 'false' }, make('img', { src: `/samples/${name}.svg`, alt: '', width: '48', height: '48' }));
    button.addEventListener('click', () => attempt(() => openSample(name, button)));
    return button;
  }));
}

/** Nothing can be opened before the model is there. */
function disable(on: boolean): void {
  for (const button of document.querySelectorAll<HTMLButtonElement | HTMLInputElement>('.stage button, .stage input')) button.disabled = on;
}

async function start(): Promise<void> {
  drawSamples();
  disable(true);
  for (const kind of ['dragover', 'drop']) document.addEventListener(kind, event => event.preventDefault()); // else a file that is dropped too early takes the place of the page
  if (!(await isNewest())) return;
  const listed = fetch('/files.json').then(answer => answer.json() as Promise<{ version: string; model: string[] }>);
  const missing = await whyNoGpu();
  if (missing) {
    panel.bad('No WebGPU');
    element('missing-why', HTMLElement).textContent = missing;
    element('missing', HTMLElement).hidden = false;
    return;
  }
  client = new Client(heard);
  const { version, model } = await listed;
  void keepOffline(version);
  const machine = await client.call('start', { model: new URL('/model/', location.href).href, files: model });
  settings = defaultStream(machine.clipFrames);
  element('ask-note', HTMLElement).hidden = machine.clipFrames > 0;
  if (machine.decoder) element('answers-title', HTMLElement).textContent += ' (without any, the text decoder answers)';
  panel.found(machine);
  await setLabels();
  wire();
  disable(false);
  document.body.dataset.ready = '';
}

start().catch(error => stop('It did not start', error instanceof Error ? error.message : String(error)));
