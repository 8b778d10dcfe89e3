// The stream over time: small pictures, where text was decoded, how much the embedding changes, and how like it is to the text sought.
import { clock, element, make, makeSvg } from './elements.ts';

interface Point {
  timeS: number;
  variance: number;
}

export interface Caption {
  key: number;
  fromS: number;
  toS: number;
  atS: number;
  text: string;
  score: number;
}

const TOP = 12;
const BOTTOM = 26;
/** A band narrower than this has no room for a word, pixels. */
const NARROW = 64;
const STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

export class Timeline {
  /** Told when someone chooses a moment. */
  chosen: (index: number) => void = () => {};
  points: Point[] = [];
  captions: Caption[] = [];
  private thumbs: { timeS: number; canvas: HTMLCanvasElement }[] = [];
  private found: Float32Array | undefined;
  private threshold = 0;
  private now = -1;
  private asked = false;
  private readonly plot = element('plot', SVGSVGElement);
  private readonly scrub = element('scrub', HTMLInputElement);
  private readonly strip = element('thumbs', HTMLDivElement);
  private readonly bands = element('bands', HTMLDivElement);
  private readonly rows = element('captions', HTMLTableSectionElement);

  constructor() {
    this.scrub.addEventListener('input', () => this.chosen(Number(this.scrub.value)));
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  clear(threshold: number): void {
    this.points = [];
    this.captions = [];
    this.thumbs = [];
    this.found = undefined;
    this.threshold = threshold;
    this.now = -1;
    this.strip.replaceChildren();
    this.draw();
  }

  addWindow(point: Point, thumb: ImageBitmap | undefined): void {
    this.points.push(point);
    if (thumb) {
      const canvas = make('canvas', { width: String(thumb.width), height: String(thumb.height) });
      canvas.getContext('2d')!.drawImage(thumb, 0, 0);
      thumb.close();
      this.thumbs.push({ timeS: point.timeS, canvas });
      this.strip.append(canvas);
    }
    this.draw();
  }

  setCaption(caption: Caption): void {
    this.captions[caption.key] = caption;
    this.draw();
  }

  /** Says how many windows there are, and at how many of them text was decoded. */
  tally(): void {
    const [windows, decodes] = [this.points.length, this.captions.length];
    const skipped = windows - decodes;
    element('tally', HTMLParagraphElement).replaceChildren(make('b', { text: String(windows) }), ` window${windows === 1 ? '' : 's'} · text decoded `, make('b', { text: String(decodes) }), decodes === 1 ? ' time' : ' times', windows ? ` · skipped ${skipped} (${Math.floor((100 * skipped) / windows)} %)` : '');
  }

  showFound(curve: Float32Array | undefined): void {
    this.found = curve;
    this.draw();
  }

  choose(index: number): void {
    this.now = index;
    this.draw();
  }

  /** The text at a moment. @param timeS s @returns the caption whose run holds it, or the last one before */
  captionAt(timeS: number): Caption | undefined {
    return this.captions.filter(c => c && c.fromS <= timeS + 1e-6).at(-1);
  }

  indexAt(timeS: number): number {
    let best = 0;
    for (let i = 1; i < this.points.length && this.points[i]!.timeS <= timeS + 1e-6; i++) best = i;
    return best;
  }

  /** Draws at the next frame, however often it is asked. */
  draw(): void {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  private get endS(): number {
    return Math.max(1e-3, this.points.at(-1)?.timeS ?? 0);
  }

  private get startS(): number {
    return this.points[0]?.timeS ?? 0;
  }

  private part(timeS: number): number {
    return this.points.length < 2 ? 0.5 : (timeS - this.startS) / (this.endS - this.startS);
  }

  private paint(): void {
    const { width, height } = this.plot.getBoundingClientRect();
    if (width === 0) return;
    this.plot.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const x = (timeS: number): number => this.part(timeS) * width;
    this.plot.replaceChildren(...this.curves(x, width, height));
    const half = Math.min(0.5, 22 / width) * 100;
    for (const { timeS, canvas } of this.thumbs) canvas.style.left = `${Math.min(100 - half, Math.max(half, this.part(timeS) * 100))}%`;
    this.hideCrowdedThumbs(width);
    this.paintBands(width);
    this.paintTable();
    element('hint', HTMLElement).hidden = this.points.length > 0;
    this.scrub.max = String(Math.max(0, this.points.length - 1));
    this.scrub.disabled = this.points.length < 2;
    if (this.now >= 0) this.scrub.value = String(this.now);
    const here = this.points[this.now];
    this.scrub.setAttribute('aria-valuetext', here ? `${clock(here.timeS)}${this.captionAt(here.timeS) ? `, ${this.captionAt(here.timeS)!.text}` : ''}` : 'no moment chosen');
    const ran = this.captions.length;
    element('plot-says', HTMLElement).textContent = this.points.length ? `${this.points.length} window${this.points.length === 1 ? '' : 's'} from ${clock(this.startS)} to ${clock(this.endS)}; text was decoded ${ran === 1 ? 'once' : `${ran} times`}: ${this.captions.map(c => `${c.text} from ${clock(c.fromS)}`).join(', ')}.` : 'There is no stream yet.';
  }

  private hideCrowdedThumbs(width: number): void {
    let last = -Infinity;
    for (const { timeS, canvas } of this.thumbs) {
      const x = Math.min(width - 22, Math.max(22, this.part(timeS) * width));
      canvas.hidden = x - last < 47;
      if (!canvas.hidden) last = x;
    }
  }

  private curves(x: (timeS: number) => number, width: number, height: number): SVGElement[] {
    const { points, found, threshold } = this;
    const floor = height - BOTTOM;
    const out: SVGElement[] = [...this.axis(x, width, height)];
    if (points.length === 0) return out;
    const most = Math.max(threshold * 2.2, ...points.map(p => (Number.isFinite(p.variance) ? p.variance : 0)));
    const y = (variance: number): number => floor - 8 - (Math.min(most, variance || 0) / most) * (floor - 8 - TOP);
    if (points.length > 1) {
      const line = points.map(p => `${x(p.timeS).toFixed(1)} ${y(p.variance).toFixed(1)}`).join('L');
      out.push(makeSvg('path', { class: 'p-change', d: `M0 ${floor - 8}L${line}L${width} ${floor - 8}Z` }));
      out.push(makeSvg('line', { class: 'p-limit', x1: 0, x2: width, y1: y(threshold), y2: y(threshold) }));
    }
    const ran = new Set(this.captions.map(c => c.atS));
    out.push(makeSvg('path', { class: 'p-skip', d: points.filter(p => !ran.has(p.timeS)).map(p => `M${x(p.timeS).toFixed(1)} ${floor - 4}v7`).join('') }));
    for (const { atS } of this.captions) {
      out.push(makeSvg('line', { class: 'p-stem', x1: x(atS), x2: x(atS), y1: TOP, y2: floor }));
      out.push(makeSvg('circle', { class: 'p-run', cx: x(atS), cy: floor, r: 5.5 }));
    }
    if (found && found.length > 1) out.push(...this.foundCurve(found, x, floor));
    const here = points[this.now];
    if (here && points.length > 1) out.push(makeSvg('line', { class: 'p-now', x1: x(here.timeS), x2: x(here.timeS), y1: 0, y2: floor + 6 }));
    return out;
  }

  private foundCurve(all: Float32Array, x: (timeS: number) => number, floor: number): SVGElement[] {
    const found = all.subarray(0, this.points.length); // the worker may know a window before it is told here
    const [low, high] = [Math.min(...found), Math.max(...found)];
    const y = (c: number): number => floor - 8 - ((c - low) / Math.max(1e-6, high - low)) * (floor - 12 - TOP);
    const best = found.indexOf(high);
    const line = [...found].map((c, i) => `${x(this.points[i]!.timeS).toFixed(1)} ${y(c).toFixed(1)}`).join('L');
    return [makeSvg('path', { class: 'p-find', d: `M${line}` }), makeSvg('circle', { class: 'p-best', cx: x(this.points[best]!.timeS), cy: y(high), r: 5.5 })];
  }

  private axis(x: (timeS: number) => number, width: number, height: number): SVGElement[] {
    if (this.points.length < 2) return [];
    const span = this.endS - this.startS;
    const step = STEPS_S.find(s => (s / span) * width > 64) ?? STEPS_S.at(-1)!;
    const out: SVGElement[] = [];
    for (let t = Math.ceil(this.startS / step) * step; t <= this.endS + 1e-6; t += step) {
      const at = x(t);
      out.push(makeSvg('text', { class: 'p-axis', x: Math.min(width - 2, Math.max(0, at)), y: height - 6, 'text-anchor': at < 16 ? 'start' : at > width - 16 ? 'end' : 'middle' }, step < 1 ? clock(t) : clock(t).replace(/\.\d$/, '')));
    }
    return out;
  }

  /** A text holds until the next one. */
  private shownTo(row: number): number {
    return Math.max(this.captions[row]!.toS, this.captions[row + 1]?.fromS ?? this.endS);
  }

  private paintBands(width: number): void {
    const here = this.points[this.now];
    const current = here && this.captionAt(here.timeS);
    this.bands.replaceChildren(...this.captions.map((c, i) => {
      const [a, b] = this.points.length < 2 ? [0, 1] : [this.part(c.fromS), this.part(this.shownTo(i))];
      const wide = (b - a) * width;
      const narrow = wide < NARROW; // the number of its row in the table, where there is no room for the text
      const band = make('span', { text: wide < 14 ? '' : narrow ? String(i + 1) : c.text, kind: `${narrow ? 'narrow' : ''}${c === current ? ' now' : ''}`.trim(), title: c.text });
      band.style.left = `calc(${a * 100}% + 1px)`;
      band.style.width = `calc(${Math.max(0, b - a) * 100}% - 2px)`;
      return band;
    }));
  }

  private paintTable(): void {
    this.rows.replaceChildren(...this.captions.map((c, i) => make('tr', {}, make('td', { text: String(i + 1) }), make('td', { text: clock(c.fromS) }), make('td', { text: clock(this.shownTo(i)) }), make('td', { text: c.text }), make('td', { text: Number.isFinite(c.score) ? c.score.toFixed(2) : '–' }))));
  }
}
