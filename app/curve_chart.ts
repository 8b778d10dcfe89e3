// The figure of selective decoding as SVG, for the report: decodes per second against CIDEr-D, light and dark, readable as text too.
import type { CurveName, CurvePoint, DecodeCurve } from '../tasks/decode_curve.ts';
import { escape } from './html.ts';

const WIDTH = 720, HEIGHT = 380, LEFT = 52, RIGHT = 16, TOP = 64, BOTTOM = 44;
const LOOK: Readonly<Record<CurveName, string>> = {
  'adaptive average': 'own', 'adaptive midpoint': 'own thin', 'uniform average': 'other', 'uniform midpoint': 'other thin', online: 'live',
};
const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #57606a } .title { font-size: 14px; font-weight: 600; fill: #24292f }
.grid { stroke: #d0d7de } .line { fill: none; stroke-width: 2.5 } .own { stroke: #1f6feb } .other { stroke: #f0883e } .live { stroke: #2da44e } .thin { stroke-width: 1.5; stroke-dasharray: 5 4 }
.gap { stroke: #57606a; stroke-width: 1.5 } .line circle { stroke: none } circle.own { fill: #1f6feb } circle.other { fill: #f0883e } circle.live { fill: #2da44e }
@media (prefers-color-scheme: dark) { text { fill: #9198a1 } .title { fill: #e6edf3 } .grid { stroke: #30363d } .own { stroke: #58a6ff } circle.own { fill: #58a6ff } .gap { stroke: #9198a1 } }`;

const at = (v: number): string => String(Number(v.toFixed(1)));
const hz = (v: number): string => String(Number(v.toPrecision(2)));

/** The printed ratio: at the uniform rate nearest to 1 Hz that the adaptive curve reaches, as the paper does. @param curve a sweep @returns the entry, or none */
export function headline({ ratios }: Pick<DecodeCurve, 'ratios'>): DecodeCurve['ratios'][number] | undefined {
  return [...ratios].sort((a, b) => Math.abs(Math.log(a.uniformHz)) - Math.abs(Math.log(b.uniformHz)))[0];
}

interface Scale { x(rateHz: number): number; y(cider: number): number; lowHz: number; highHz: number; top: number }

function scaleOf(points: readonly CurvePoint[]): Scale {
  const rates = points.map(p => p.rateHz);
  const [lowHz, highHz] = [Math.min(...rates), Math.max(...rates)];
  const top = Math.max(0.1, ...points.map(p => p.cider)) * 1.05;
  const span = Math.log(highHz / lowHz) || 1;
  return {
    lowHz, highHz, top,
    x: rateHz => LEFT + (Math.log(rateHz / lowHz) / span) * (WIDTH - LEFT - RIGHT),
    y: cider => HEIGHT - BOTTOM - (cider / top) * (HEIGHT - TOP - BOTTOM),
  };
}

function axes({ x, y, lowHz, highHz, top }: Scale): string[] {
  const body: string[] = [];
  const step = 10 ** Math.floor(Math.log10(top)) * (top / 10 ** Math.floor(Math.log10(top)) > 5 ? 2 : top / 10 ** Math.floor(Math.log10(top)) > 2 ? 1 : 0.5);
  for (let v = 0; v <= top; v += step) body.push(`<path class="grid" d="M${LEFT} ${at(y(v))}H${WIDTH - RIGHT}"/><text x="${LEFT - 8}" y="${at(y(v) + 4)}" text-anchor="end">${hz(v)}</text>`);
  for (let d = Math.floor(Math.log10(lowHz)); d <= Math.ceil(Math.log10(highHz)); d++) {
    for (const m of [1, 2, 5]) {
      const rate = m * 10 ** d;
      if (rate >= lowHz * 0.999 && rate <= highHz * 1.001) body.push(`<path class="grid" d="M${at(x(rate))} ${TOP}V${HEIGHT - BOTTOM}"/><text x="${at(x(rate))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${hz(rate)}</text>`);
    }
  }
  body.push(`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">decodes per second</text>`, `<text x="8" y="${TOP - 10}">CIDEr-D</text>`);
  return body;
}

/**
 * Draws the sweep; the horizontal bar is the gap in decodes at equal CIDEr.
 * @param result of `decodeCurve` @param title shown above @returns the text of an SVG element, which stands alone as a file too
 * @throws RangeError when there is no point
 */
export function curveChart(result: DecodeCurve, title = 'Selective decoding'): string {
  const curves = Object.entries(result.curves) as [CurveName, CurvePoint[]][];
  const points = curves.flatMap(([, list]) => list);
  if (points.length === 0) throw new RangeError('curveChart: there is no point, expected at least one curve');
  const scale = scaleOf(points);
  const body = axes(scale);
  curves.forEach(([name, list], i) => {
    const look = LOOK[name];
    const line = list.map((p, k) => `${k ? 'L' : 'M'}${at(scale.x(p.rateHz))} ${at(scale.y(p.cider))}`).join('');
    body.push(`<path class="line ${look}" d="${line}"/>`, ...list.map(p => `<circle class="${look}" cx="${at(scale.x(p.rateHz))}" cy="${at(scale.y(p.cider))}" r="3"><title>${name}: ${hz(p.rateHz)} Hz, ${p.decodes} decodes, CIDEr-D ${p.cider.toFixed(2)}</title></circle>`));
    body.push(`<path class="line ${look}" d="M${LEFT + i * 138} 38h18"/><text x="${LEFT + 23 + i * 138}" y="42">${name}</text>`);
  });
  const found = headline(result);
  if (found) {
    const [a, b, y] = [scale.x(found.adaptiveHz), scale.x(found.uniformHz), scale.y(found.cider)];
    body.push(`<path class="gap" d="M${at(a)} ${at(y - 5)}v10M${at(a)} ${at(y)}H${at(b)}M${at(b)} ${at(y - 5)}v10"/>`, `<text x="${at((a + b) / 2)}" y="${at(y + 18)}" text-anchor="middle" class="title">${found.ratio.toFixed(2)} ×</text>`);
  }
  const spoken = found ? `At equal CIDEr-D adaptive decoding needs ${hz(found.adaptiveHz)} Hz where uniform decoding needs ${hz(found.uniformHz)} Hz: ${found.ratio.toFixed(2)} times fewer.` : 'The curves do not meet at an equal CIDEr-D.';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(`${title}. ${spoken}`)}">
<style>${STYLE}
</style>
<text class="title" x="8" y="18">${escape(title)}</text>
${body.join('\n')}
</svg>
`;
}
