import { DataError } from './errors.ts';

/**
 * A recipe for changed pictures, plain data. Zero turns an effect off; the numbers marked "setting" only matter while
 * their effect is on. "±a" is uniform in [−a, a]; "×(1+a)" is a factor exp(±ln(1+a)), uniform in the exponent.
 */
export interface AugmentConfig {
  /** ± shift of each axis, share of the side */
  shift: number;
  /** zoom, ×(1+scale) */
  scale: number;
  /** width against height, ×(1+aspect) */
  aspect: number;
  /** ± rotation, degrees */
  rotate: number;
  /** probability of a horizontal flip */
  flip: number;
  /** setting: grey level outside the picture, 0 to 255 */
  background: number;
  /** ± rotation of the hue about the grey axis, degrees; keeps white */
  hue: number;
  /** distance from grey, ×(1+saturation); keeps white */
  saturation: number;
  /** ± added to all channels, share of 255 */
  brightness: number;
  /** distance from the middle level 127.5, ×(1+contrast) */
  contrast: number;
  /** exponent of levels, ×(1+gamma); keeps white */
  gamma: number;
  /** probability of a picture without colour */
  grey: number;
  /** share (0 to 1) of a random 3×3 matrix with rows of sum 1; keeps white */
  channelMix: number;
  /** probability of few levels a channel */
  posterise: number;
  /** setting: levels a channel, 2 or more */
  posteriseLevels: number;
  /** probability of dark edges */
  outline: number;
  /** setting: 1 makes a strong edge black */
  outlineStrength: number;
  /** probability of a Gaussian blur */
  blur: number;
  /** setting: greatest sigma, pixels of the result, at most 4 */
  blurSigma: number;
  /** probability of one rectangle of random colour */
  erase: number;
  /** setting: greatest area of it, share of the picture */
  eraseArea: number;
  /** probability that the mate (another picture of the same concept) is mixed in, where there is one */
  mix: number;
  /** setting: greatest share of the mate */
  mixShare: number;
  /** setting: probability that a mix is a rectangle cut from the mate instead of a blend */
  mixCut: number;
}

/** Every effect off. */
export const NO_AUGMENT: Readonly<AugmentConfig> = Object.freeze({
  shift: 0,
  scale: 0,
  aspect: 0,
  rotate: 0,
  flip: 0,
  background: 255,
  hue: 0,
  saturation: 0,
  brightness: 0,
  contrast: 0,
  gamma: 0,
  grey: 0,
  channelMix: 0,
  posterise: 0,
  posteriseLevels: 4,
  outline: 0,
  outlineStrength: 0.7,
  blur: 0,
  blurSigma: 1,
  erase: 0,
  eraseArea: 0.15,
  mix: 0,
  mixShare: 0.5,
  mixCut: 0,
});

const TO_ONE: ReadonlySet<string> = new Set([
  ...['flip', 'grey', 'channelMix', 'posterise', 'outline', 'outlineStrength', 'blur', 'erase', 'eraseArea'],
  ...['mix', 'mixShare', 'mixCut'],
]);

/**
 * Fills a recipe with `NO_AUGMENT` and checks it.
 * @param config some of the numbers
 * @returns all of them
 * @throws DataError for an unknown name or a number out of range
 */
export function augmentConfig(config: Partial<AugmentConfig>): AugmentConfig {
  for (const [name, value] of Object.entries(config)) {
    if (!Object.hasOwn(NO_AUGMENT, name)) {
      throw new DataError('augment', `there is no effect "${name}" (there are ${Object.keys(NO_AUGMENT).join(', ')})`);
    }
    const most = TO_ONE.has(name) ? 1 : name === 'background' ? 255 : name === 'blurSigma' ? 4 : Infinity;
    const least = name === 'posteriseLevels' ? 2 : 0;
    if (!Number.isFinite(value) || value < least || value > most) {
      throw new DataError('augment', `${name} must be a number from ${least} to ${most}, got ${value}`);
    }
  }
  return { ...NO_AUGMENT, ...config };
}
