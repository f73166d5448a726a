/**
 * The arguments of one command line, checked. As in the codec's reader, the first refusal sticks
 * and later reads return harmless defaults, so that a command checks `refusal` once.
 */
import { parseArgs } from 'node:util';
import { encode, type Schema } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import type { Command, Options } from './command.ts';

/** Options that every command takes. */
export const commonOptions: Options = {
  json: { help: 'print one JSON value instead of lines' },
  help: { help: 'show the help of this command' },
};

export class Arguments {
  readonly positionals: readonly string[];
  /** Not `refused`: that name would make this object a refusal itself. */
  refusal: Refusal | undefined;
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(positionals: readonly string[], values: Readonly<Record<string, unknown>>) {
    this.positionals = positionals;
    this.values = values;
  }

  /** Records a refusal of one argument: what is wrong with it, and what would be right. */
  refuse(what: string): void {
    if (this.refusal === undefined) this.refusal = refuse('argument-invalid', what);
  }

  /** Keeps the first refusal among values that were read elsewhere. */
  accept<T>(value: T | Refusal, fallback: T): T {
    if (!isRefusal(value)) return value;
    if (this.refusal === undefined) this.refusal = value;
    return fallback;
  }

  flag(name: string): boolean {
    return this.values[name] === true;
  }

  /** The text of an option; undefined when it was not given. */
  optional(name: string): string | undefined {
    const value = this.values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** Every value of an option that may be repeated; comma-separated values count as several. */
  list(name: string): readonly string[] {
    const values = (this.values[name] ?? []) as readonly string[];
    return values.flatMap((value) => value.split(','));
  }

  /** A positional argument or required option, as its schema allows it. */
  text(name: string, schema: Schema<string>): string {
    return this.checked(name, this.optional(name) ?? '', schema);
  }

  /** The values of a list, each as the schema allows it. */
  texts(name: string, schema: Schema<string>): readonly string[] {
    return this.list(name).map((value) => this.checked(name, value, schema));
  }

  /** Checks text by a schema; `name` is the option, or a positional argument in capitals. */
  checked(name: string, value: string, schema: Schema<string>): string {
    try {
      encode(schema, value);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.refuse(`${spelled(name)} '${value}': ${error.message.replace(/^value: /, '')}`);
    }
    return value;
  }

  /** A whole number from `min` to `max`; `fallback` when the option is absent. */
  integer(name: string, min: number, max: number, fallback = min): number {
    const given = this.optional(name);
    if (given === undefined) return fallback;
    return this.wholeNumber(name, given, min, max) ?? fallback;
  }

  /** Whole numbers from `min` to `max`, of an option that may be repeated. */
  integers(name: string, min: number, max: number): readonly number[] {
    return this.list(name).map((given) => this.wholeNumber(name, given, min, max) ?? min);
  }

  private wholeNumber(name: string, given: string, min: number, max: number): number | undefined {
    const value = /^[0-9]{1,16}$/.test(given) ? Number(given) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.refuse(`${spelled(name)} '${given}': expected a whole number from ${min} to ${max}`);
    return undefined;
  }

  /** One of the names of `choices`. */
  choice<N extends string>(name: string, choices: readonly N[]): N {
    const given = this.optional(name);
    const found = choices.find((choice) => choice === given);
    if (found !== undefined) return found;
    this.refuse(`${spelled(name)} '${given ?? ''}': expected one of ${choices.join(', ')}`);
    return choices[0]!;
  }
}

function spelled(name: string): string {
  return name === name.toUpperCase() ? name : `--${name}`;
}

/**
 * Parses what follows the command's name. Code `argument-invalid`: unknown, repeated and missing
 * options, missing values, too few or too many positional arguments.
 */
export function parseArguments(command: Command, words: readonly string[]): Arguments | Refusal {
  const known: Options = { ...command.options, ...commonOptions };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { value, multiple }]) => [
      name,
      { type: value === undefined ? 'boolean' : 'string', multiple: multiple === true } as const,
    ]),
  );
  let parsed: ReturnType<typeof parseWords>;
  try {
    parsed = parseWords(words, options);
  } catch (error) {
    // parseArgs throws TypeErrors whose first sentence says what is wrong.
    return refuse('argument-invalid', sentenceOf(error));
  }
  const given = new Set<string>();
  for (const token of parsed.tokens) {
    if (token.kind !== 'option') continue;
    if (given.has(token.name) && !known[token.name]?.multiple) {
      return refuse('argument-invalid', `--${token.name} is given more than once`);
    }
    given.add(token.name);
    if (token.value === '') return refuse('argument-invalid', `--${token.name} has an empty value`);
  }
  if (parsed.values['help'] === true) return new Arguments([], parsed.values);
  const { positionals } = parsed;
  const missing = command.positionals[positionals.length];
  if (missing !== undefined) return refuse('argument-invalid', `${missing} is missing`);
  if (positionals.length > command.positionals.length) {
    const extra = positionals[command.positionals.length];
    return refuse('argument-invalid', `'${extra}' is one argument too many`);
  }
  for (const [name, option] of Object.entries(command.options)) {
    if (option.required && !given.has(name)) {
      return refuse('argument-invalid', `--${name} ${option.value ?? ''} is missing`);
    }
  }
  return new Arguments(positionals, parsed.values);
}

type ParseOptions = Record<string, { type: 'boolean' | 'string'; multiple: boolean }>;

function parseWords(words: readonly string[], options: ParseOptions) {
  return parseArgs({ args: [...words], options, allowPositionals: true, tokens: true });
}

function sentenceOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(/\. |\n/)[0]!.replace(/\.$/, '');
}
