/** `full`: the f32 value nearest to `value`, everywhere. @param count elements @param value the value @returns [count] */
export const fullRef = (count: number, value: number): Float64Array => new Float64Array(count).fill(Math.fround(value));
