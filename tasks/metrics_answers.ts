// Accuracies of the question, counting, yes/no and triplet benchmarks (spec 1.14), per cent. A tie counts against the model.

/** One answered question. */
export interface Answered {
  /** What the model said. */
  readonly answer: string;
  /** The right answer, or all that count as right. */
  readonly truth: string | readonly string[];
  /** Part of the benchmark that the question belongs to: 'simple' or 'complex' (TallyQA), 'random', 'popular' or 'adversarial' (POPE). */
  readonly group?: string;
}

export interface Share {
  n: number;
  /** Per cent; 0 where n is 0. */
  accuracy: number;
}

/** Answers as they are compared: lower case, single spaces, no full stop at the end. @param text an answer @returns the text to compare */
export const plainAnswer = (text: string): string => text.toLowerCase().replace(/\s+/g, ' ').trim().replace(/\.$/, '');

/** Whether an answer is right. @param item answer and truth @returns true when it equals an accepted answer, apart from case and spaces */
export function isRight({ answer, truth }: Answered): boolean {
  const said = plainAnswer(answer);
  return typeof truth === 'string' ? said === plainAnswer(truth) : truth.some(t => said === plainAnswer(t));
}

const share = (right: readonly boolean[]): Share => ({ n: right.length, accuracy: right.length ? (100 * right.filter(Boolean).length) / right.length : 0 });

function byGroup<T>(items: readonly T[], groupOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const list = groups.get(groupOf(item));
    if (list) list.push(item);
    else groups.set(groupOf(item), [item]);
  }
  return groups;
}

export interface VqaReport extends Share {
  /** Each group on its own, by name. */
  groups: Record<string, Share>;
}

/**
 * Accuracy over all questions (GQA, POPEv2), and of each group.
 * @param items answered questions @returns accuracy in per cent
 */
export function vqaAccuracy(items: readonly Answered[]): VqaReport {
  const groups = byGroup(items.filter(i => i.group !== undefined), i => i.group!);
  return { ...share(items.map(isRight)), groups: Object.fromEntries([...groups].map(([name, list]) => [name, share(list.map(isRight))])) };
}

/** Questions in TallyQA's two test sets: the weights of its average. */
export const TALLY_QUESTIONS = { simple: 22_991, complex: 15_598 } as const;

export interface TallyReport {
  simple: Share;
  complex: Share;
  /** Average of both, weighted by `weights`. */
  weighted: number;
  /** Their plain average. */
  mean: number;
}

/**
 * TallyQA: the weighted average of the simple and the complex test questions.
 * @param items answered questions whose group is 'simple' or 'complex' @param weights of the two sets; the benchmark's own sizes, so that a sample of it weighs as the whole
 * @returns both accuracies and their averages, per cent @throws RangeError for another group or a set without questions
 */
export function tallyAccuracy(items: readonly Answered[], weights: { simple: number; complex: number } = TALLY_QUESTIONS): TallyReport {
  const groups = grouped('tallyAccuracy', items, ['simple', 'complex']);
  const [simple, complex] = [share(groups.get('simple')!.map(isRight)), share(groups.get('complex')!.map(isRight))];
  const weighted = (weights.simple * simple.accuracy + weights.complex * complex.accuracy) / (weights.simple + weights.complex);
  return { simple, complex, weighted, mean: (simple.accuracy + complex.accuracy) / 2 };
}

function grouped(where: string, items: readonly Answered[], names: readonly string[]): Map<string, Answered[]> {
  items.forEach(({ group }, i) => {
    if (group === undefined || !names.includes(group)) throw new RangeError(`${where}: question ${i} belongs to ${group === undefined ? 'no group' : `"${group}"`}, expected ${names.join(', ')}`);
  });
  const groups = byGroup(items, i => i.group!);
  for (const name of names) if (!groups.has(name)) throw new RangeError(`${where}: there is no question of "${name}", expected at least one of each of ${names.join(', ')}`);
  return groups;
}

export interface YesNo extends Share {
  /** Of what was answered with yes, how much is right; per cent, 0 where nothing was. */
  precision: number;
  /** Of what is yes, how much was found. */
  recall: number;
  f1: number;
  /** How often the model says yes. */
  yesRatio: number;
}

/**
 * Accuracy, precision, recall and F1 of yes/no answers; yes is the positive answer. As in POPE's own script an answer is no when its first sentence has the word no or not, and yes otherwise.
 * @param items answered questions whose truth is yes or no @returns per cent @throws RangeError for a truth that is neither
 */
export function yesNoAccuracy(items: readonly Answered[]): YesNo {
  let [tp, fp, tn, fn] = [0, 0, 0, 0];
  items.forEach(({ answer, truth }, i) => {
    const real = plainAnswer(typeof truth === 'string' ? truth : truth[0] ?? '');
    if (real !== 'yes' && real !== 'no') throw new RangeError(`yesNoAccuracy: the truth of question ${i} is "${real}", expected yes or no`);
    const said = !/(^| )(no|not)( |$)/.test(plainAnswer(answer).split('.')[0]!.replaceAll(',', ''));
    if (said) real === 'yes' ? tp++ : fp++;
    else real === 'yes' ? fn++ : tn++;
  });
  const ratio = (a: number, b: number): number => (b === 0 ? 0 : (100 * a) / b);
  const [precision, recall] = [ratio(tp, tp + fp), ratio(tp, tp + fn)];
  return { n: items.length, accuracy: ratio(tp + tn, items.length), precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall), yesRatio: ratio(tp + fp, items.length) };
}

/** POPE's three ways to choose the absent object. */
export const POPE_SETTINGS = ['random', 'popular', 'adversarial'] as const;

export interface PopeReport extends Record<(typeof POPE_SETTINGS)[number], YesNo> {
  /** Plain mean of the three accuracies: the figure of the paper's table. */
  accuracy: number;
  f1: number;
}

/**
 * POPE: mean over the settings random, popular and adversarial.
 * @param items answered questions whose group is the setting @returns figures per setting and the mean of accuracies @throws RangeError for another group, or a setting without questions
 */
export function popeAccuracy(items: readonly Answered[]): PopeReport {
  const groups = grouped('popeAccuracy', items, POPE_SETTINGS);
  const [random, popular, adversarial] = POPE_SETTINGS.map(name => yesNoAccuracy(groups.get(name)!)) as [YesNo, YesNo, YesNo];
  const mean = (key: 'accuracy' | 'f1'): number => (random[key] + popular[key] + adversarial[key]) / 3;
  return { random, popular, adversarial, accuracy: mean('accuracy'), f1: mean('f1') };
}

/** Similarities of a triplet: two texts that mean the same, p1 and p2, and a hard negative n. */
export interface TripletScores {
  readonly p1p2: number;
  readonly p1n: number;
  readonly p2n: number;
  readonly group?: string;
}

/**
 * Triplet accuracy of SugarCrepe++ and VISLA: right when sim(p1, p2) exceeds both sim(p1, n) and sim(p2, n). A tie and a NaN are wrong.
 * @param triplets similarities @returns micro average over all, and of each group, per cent
 */
export function tripletAccuracy(triplets: readonly TripletScores[]): VqaReport {
  const right = ({ p1p2, p1n, p2n }: TripletScores): boolean => p1p2 > p1n && p1p2 > p2n;
  const groups = byGroup(triplets.filter(t => t.group !== undefined), t => t.group!);
  return { ...share(triplets.map(right)), groups: Object.fromEntries([...groups].map(([name, list]) => [name, share(list.map(right))])) };
}
