/** What a command of `ota` is: its arguments, declared once for parsing and for help. */
import type { Refusal } from '../../agent/codes.ts';
import type { Json } from '../http/json-view.ts';
import type { Arguments } from './arguments.ts';

export interface Option {
  /** What the value stands for in help (`FILE`, `ID`); absent on flags. */
  readonly value?: string;
  /** One line. */
  readonly help: string;
  readonly required?: boolean;
  /** May be given several times. */
  readonly multiple?: boolean;
}

export type Options = Readonly<Record<string, Option>>;

/** The world outside of a command. */
export interface Context {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Progress for a person; dropped when nobody watches. */
  progress(line: string): void;
}

/** What a command has done: `lines` for a person, `json` for a program. */
export interface Outcome {
  readonly lines: readonly string[];
  readonly json: Json;
  /** The command did its work and its answer is no: exit status 1. */
  readonly negative?: boolean;
}

export interface Command {
  /** One or two words: `status`, `image publish`. */
  readonly name: string;
  readonly summary: string;
  /** Positional arguments, all required. */
  readonly positionals: readonly string[];
  readonly options: Options;
  /** Further lines of help. */
  readonly notes?: readonly string[];
  run(given: Arguments, context: Context): Promise<Outcome | Refusal>;
}
