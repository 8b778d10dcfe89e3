// What is on the screen: a picture, a film, the sample film or the camera, and its clock.
import { element } from './elements.ts';
import { drawSampleFilm, loadSample, SAMPLE_FILM_S, SAMPLES } from './sample_film.ts';

type Shown = 'nothing' | 'image' | 'video' | 'sample' | 'camera';

const calm = matchMedia('(prefers-reduced-motion: reduce)');

export class Stage {
  shown: Shown = 'nothing';
  /** Told as the film plays. */
  moved: (timeS: number) => void = () => {};
  private readonly screen = element('screen', HTMLDivElement);
  private readonly video = element('video', HTMLVideoElement);
  private readonly canvas = element('canvas', HTMLCanvasElement);
  private readonly image = element('image', HTMLImageElement);
  private readonly play = element('play', HTMLButtonElement);
  private readonly caption = element('caption-now', HTMLParagraphElement);
  private address: string | undefined;
  private drawings: HTMLImageElement[] = [];
  private sampleS = 0;
  private running = false;
  private tick = 0;

  constructor() {
    this.play.addEventListener('click', () => this.run(!this.running));
    this.show('nothing');
  }

  private show(shown: Shown): void {
    this.shown = shown;
    this.run(false);
    if (shown !== 'camera') this.releaseCamera();
    this.screen.classList.toggle('bare', shown === 'nothing');
    element('empty', HTMLDivElement).hidden = shown !== 'nothing';
    this.video.hidden = shown !== 'video' && shown !== 'camera';
    this.canvas.hidden = shown !== 'sample';
    this.image.hidden = shown !== 'image';
    this.play.hidden = shown !== 'video' && shown !== 'sample';
    this.say('');
  }

  private take(file: Blob): string {
    if (this.address) URL.revokeObjectURL(this.address);
    return (this.address = URL.createObjectURL(file));
  }

  /** The text of the moment, over the picture. */
  say(text: string): void {
    if (this.caption.textContent !== text) this.caption.textContent = text; // a live region: it speaks whenever it is written
  }

  /** Whether texts are announced: a film that begins again has told all of them. */
  private announce(on: boolean): void {
    this.caption.setAttribute('aria-live', on ? 'polite' : 'off');
  }

  showImage(file: Blob, name: string): void {
    this.show('image');
    this.image.src = this.take(file);
    this.image.alt = name;
  }

  showVideo(file: Blob): void {
    this.show('video');
    this.video.srcObject = null;
    this.video.loop = true;
    this.video.src = this.take(file);
  }

  /** Loads the drawings of the sample film. */
  async loadSample(): Promise<void> {
    this.drawings = this.drawings.length ? this.drawings : await Promise.all(SAMPLES.map(([name]) => loadSample(name)));
  }

  /** Shows the sample film, once it is loaded. */
  showSample(): void {
    this.show('sample');
    this.sampleS = 0;
    drawSampleFilm(this.canvas, this.drawings, 0);
  }

  /** One frame of the sample film, for the worker. */
  async sampleFrame(timeS: number): Promise<ImageBitmap> {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 160;
    drawSampleFilm(canvas, this.drawings, timeS);
    return createImageBitmap(canvas);
  }

  /** Shows the camera. @throws DOMException when it is refused or there is none */
  async showCamera(): Promise<void> {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 480 }, height: { ideal: 480 }, facingMode: 'environment' }, audio: false });
    this.show('camera');
    this.video.removeAttribute('src');
    this.video.srcObject = stream;
    await this.video.play();
  }

  /** The middle square of what the camera sees, as small as the model needs it. @throws Error when the camera is gone */
  async cameraFrame(): Promise<ImageBitmap | undefined> {
    const { videoWidth: w, videoHeight: h } = this.video;
    const { srcObject } = this.video;
    if (this.shown === 'camera' && srcObject instanceof MediaStream && srcObject.getVideoTracks().every(t => t.readyState === 'ended')) throw new Error('The camera was unplugged or switched off.'); // its last picture would stay for ever
    if (this.shown !== 'camera' || !w) return undefined;
    const side = Math.min(w, h);
    return createImageBitmap(this.video, (w - side) >> 1, (h - side) >> 1, side, side, { resizeWidth: 160, resizeHeight: 160, resizeQuality: 'medium' });
  }

  releaseCamera(): void {
    const stream = this.video.srcObject;
    if (stream instanceof MediaStream) for (const track of stream.getTracks()) track.stop();
    if (stream) this.video.srcObject = null;
  }

  stopCamera(): void {
    if (this.shown === 'camera') this.show('nothing');
  }

  /** Plays or pauses a film; someone who asked for less motion has to press the button. @param on whether to play @param asked by a person */
  run(on: boolean, asked = true): void {
    const can = (this.shown === 'video' || this.shown === 'sample') && (asked || !calm.matches);
    this.running = on && can;
    this.announce(true);
    this.play.textContent = this.running ? 'Pause' : 'Play';
    if (this.shown === 'video') {
      if (this.running) void this.video.play().catch(() => this.run(false));
      else this.video.pause();
    }
    cancelAnimationFrame(this.tick);
    if (!this.running) return;
    let last = performance.now();
    let shownS = -Infinity;
    const step = (now: number): void => {
      if (this.shown === 'sample') {
        this.sampleS = (this.sampleS + (now - last) / 1000) % SAMPLE_FILM_S;
        drawSampleFilm(this.canvas, this.drawings, this.sampleS);
      }
      last = now;
      const timeS = this.shown === 'video' ? this.video.currentTime : this.sampleS;
      if (timeS < shownS) this.announce(false);
      shownS = timeS;
      this.moved(timeS);
      this.tick = requestAnimationFrame(step);
    };
    this.tick = requestAnimationFrame(step);
  }

  /** Goes to a moment and stays there. */
  seek(timeS: number): void {
    if (this.shown !== 'video' && this.shown !== 'sample') return;
    this.run(false);
    if (this.shown === 'video') this.video.currentTime = timeS;
    else drawSampleFilm(this.canvas, this.drawings, (this.sampleS = timeS));
  }
}
