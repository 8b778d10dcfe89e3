// Canonical order of long runs of combining marks, in n log n: `String.prototype.normalize` takes time in the square of a run (a mebibyte of two marks in turn: minutes).

/** Runs that `normalize` may take as they are. */
const SHORT = 64;
/** Marks, and the two half-width ones that compatibility forms turn into marks. */
const RUNS = new RegExp(`[\\p{M}\\uff9e\\uff9f]{${SHORT},}`, 'gu');
/** Marks of the lowest and of the highest combining class. */
const LOWEST = '\u0334', HIGHEST = '\u0345';

/** Whether canonical order puts the second mark before the first: its class is lower, and neither is 0. */
const swaps = (first: string, second: string): boolean => (first + second).normalize('NFD') === second + first;

/** Marks by their class: equal numbers for equal classes, 0 for what never moves. */
function classesOf(marks: Iterable<string>): Map<string, number> {
  const classes = new Map<string, number>();
  const moving: string[] = [];
  for (const m of marks) {
    if (swaps(m, LOWEST) || swaps(HIGHEST, m)) moving.push(m);
    else classes.set(m, 0);
  }
  moving.sort((a, b) => (swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0));
  let rank = 1;
  moving.forEach((m, i) => {
    if (i > 0 && swaps(m, moving[i - 1]!)) rank++;
    classes.set(m, rank);
  });
  return classes;
}

/** One run: every mark taken apart, then sorted by class between those that never move. */
function sorted(run: string, form: 'NFD' | 'NFKD'): string {
  const apart = new Map([...new Set(run)].map(c => [c, [...c.normalize(form)]]));
  const marks = [...run].flatMap(c => apart.get(c)!);
  const classes = classesOf(new Set(marks));
  const out: string[] = [];
  let part: string[] = [];
  const flush = (): void => {
    part.sort((a, b) => classes.get(a)! - classes.get(b)!); // stable
    for (const m of part) out.push(m);
    part = [];
  };
  for (const m of marks) {
    if (classes.get(m)) part.push(m);
    else {
      flush();
      out.push(m);
    }
  }
  flush();
  return out.join('');
}

/**
 * Puts long runs of marks in canonical order (Unicode Standard Annex 15), so that `normalize` finds nothing to move. Every normal form of the result is that of the text.
 * @param text any @param compatibility whether NFKC or NFKD follows @returns a text with the same normal forms, in which long runs are decomposed
 */
export const orderMarks = (text: string, compatibility: boolean): string => text.replace(RUNS, run => sorted(run, compatibility ? 'NFKD' : 'NFD'));
