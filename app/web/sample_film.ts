// A film of drawings, made on the spot: each floats for a while, then gives way to the next.

/** The drawings, with what they are, for people who cannot see them. */
export const SAMPLES: readonly (readonly [string, string])[] = [
  ['cat_face', 'a cat'], ['red_apple', 'an apple'], ['sailboat', 'a sailing boat'], ['guitar', 'a guitar'], ['sun', 'the sun'], ['tropical_fish', 'a fish'], ['rocket', 'a rocket'], ['mushroom', 'a mushroom'],
];

/** Seconds of each drawing, the last part of it a change to the next. */
const EACH_S = 3;
const CHANGE_S = 0.4;

/** Length of the film, s. */
export const SAMPLE_FILM_S = EACH_S * SAMPLES.length;

/** One of the drawings. @param name of its file @returns the picture, loaded */
export async function loadSample(name: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = `/samples/${name}.svg`;
  await image.decode();
  return image;
}

/** Draws the film. @param canvas to draw on @param drawings in order @param timeS moment of the film */
export function drawSampleFilm(canvas: HTMLCanvasElement, drawings: readonly HTMLImageElement[], timeS: number): void {
  const context = canvas.getContext('2d')!;
  const side = canvas.width;
  context.globalAlpha = 1;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, side, side);
  const at = Math.min(drawings.length - 1, Math.floor(timeS / EACH_S));
  const into = timeS - at * EACH_S;
  const change = at + 1 < drawings.length ? Math.max(0, (into - (EACH_S - CHANGE_S)) / CHANGE_S) : 0;
  const put = (drawing: HTMLImageElement, alpha: number): void => {
    const size = side * 0.62;
    context.globalAlpha = alpha;
    context.drawImage(drawing, (side - size) / 2 + Math.sin(timeS * 0.9) * side * 0.1, (side - size) / 2 + Math.sin(timeS * 1.7) * side * 0.06, size, size);
  };
  put(drawings[at]!, 1 - change);
  if (change > 0) put(drawings[at + 1]!, change);
  context.globalAlpha = 1;
}
