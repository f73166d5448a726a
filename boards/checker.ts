/** What a value of a board description may be: each kind of value, and what is said of a wrong one. */

/** Walks a parsed description and notes everything that is wrong, each with its place. */
export class Checker {
  readonly mistakes: string[] = [];

  say(place: string, what: string): void {
    this.mistakes.push(`${place}: ${what}`);
  }

  /** An object with exactly these fields; absent ones are reported when they are asked for. */
  fields(value: unknown, place: string, names: readonly string[]): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.say(place, 'expected an object');
      return {};
    }
    for (const name of Object.keys(value)) {
      if (!names.includes(name)) this.say(`${place}.${name}`, 'unknown field');
    }
    return value as Record<string, unknown>;
  }

  integer(value: unknown, place: string, min: number, max: number): number {
    const fits =
      Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
    if (!fits) this.say(place, `expected an integer from ${min} to ${max}, got ${text(value)}`);
    return fits ? (value as number) : min;
  }

  boolean(value: unknown, place: string): boolean {
    if (typeof value !== 'boolean') this.say(place, `expected true or false, got ${text(value)}`);
    return value === true;
  }

  oneOf<Word extends string>(value: unknown, place: string, words: readonly Word[]): Word {
    const found = words.find((word) => word === value);
    if (found === undefined) {
      this.say(place, `expected ${words.join(' or ')}, got ${text(value)}`);
    }
    return found ?? words[0]!;
  }

  name(value: unknown, place: string): string {
    if (typeof value === 'string' && /^[a-z0-9][a-z0-9-]{0,31}$/.test(value)) return value;
    this.say(place, `expected 1 to 32 of a-z, 0-9 and '-', got ${text(value)}`);
    return '';
  }

  path(value: unknown, place: string): string {
    if (typeof value === 'string' && /^\/[\w./+-]+$/.test(value)) return value;
    this.say(place, `expected an absolute path, got ${text(value)}`);
    return '';
  }

  list(value: unknown, place: string, min: number): readonly unknown[] {
    if (Array.isArray(value) && value.length >= min) return value;
    this.say(place, `expected a list of at least ${min}`);
    return [];
  }

  distinct(values: readonly (string | number)[], place: string): void {
    values.forEach((value, i) => {
      if (values.indexOf(value) !== i) this.say(place, `${text(value)} is used twice`);
    });
  }
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
