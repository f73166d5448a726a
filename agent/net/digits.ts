/** Decimal numbers in HTTP headers: digits alone, as many as fit a whole number. */

/** The number that `text` is, of 1 to `maxDigits` digits; undefined for anything else. */
export function parseDigits(text: string, maxDigits: number): number | undefined {
  if (text.length === 0 || text.length > maxDigits) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}
