/** Sentences for the name of a concept. The first is the name alone, which is also what is searched with. */
export const TEMPLATES: readonly string[] = [
  '{name}',
  'a picture of {name}',
  'a drawing of {name}',
  'this is {name}',
  'an image that shows {name}',
];

/**
 * @param index which template, 0 to 4
 * @param name what is put into it
 * @returns the sentence
 * @throws RangeError when there is no such template
 */
export function fillTemplate(index: number, name: string): string {
  const template = TEMPLATES[index];
  if (template === undefined) {
    throw new RangeError(`fillTemplate: expected a template from 0 to ${TEMPLATES.length - 1}, got ${index}`);
  }
  return template.replace('{name}', () => name); // a function: "$&" in a name must stay as it is
}

/**
 * @param name of a concept
 * @returns [5] the name in every template
 */
export function captionsOf(name: string): string[] {
  return TEMPLATES.map((_, index) => fillTemplate(index, name));
}
