/** Finds the command, runs it and prints its outcome. Exit status: 0 done, 1 refused, 2 misuse. */
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import type { Json } from '../http/json-view.ts';
import { reasonOf } from '../signer/durable-file.ts';
import { parseArguments } from './arguments.ts';
import type { Command, Outcome } from './command.ts';
import { commands } from './commands.ts';
import { commandHelp, overview } from './help.ts';

export interface Streams {
  readonly environment: Readonly<Record<string, string | undefined>>;
  out(text: string): void;
  error(text: string): void;
  /** A person watches `error`: progress is shown there. */
  readonly interactive: boolean;
}

/** Runs `ota` with the words after its name; returns the exit status. */
export async function run(words: readonly string[], streams: Streams): Promise<number> {
  const [first] = words;
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    return help(words.slice(1), streams);
  }
  const wantsJson = words.includes('--json');
  const command = find(words);
  if (command === undefined) {
    return fail(unknownCommand(words), undefined, wantsJson, streams);
  }
  const given = parseArguments(command, words.slice(command.name.split(' ').length));
  if (isRefusal(given)) return fail(given, command, wantsJson, streams);
  if (given.flag('help')) {
    streams.out(commandHelp(command));
    return 0;
  }
  const progress = (line: string): void => {
    if (streams.interactive && !wantsJson) streams.error(`${line}\n`);
  };
  let outcome: Outcome | Refusal;
  try {
    outcome = await command.run(given, { environment: streams.environment, progress });
  } catch (error) {
    // A failing device or a bug: one line for the operator, the trace for who has to repair it.
    if (streams.environment['OTA_TRACE']) throw error;
    outcome = refuse('internal-error', `${reasonOf(error)} (OTA_TRACE=1 shows where)`);
  }
  if (isRefusal(outcome)) return fail(outcome, command, wantsJson, streams);
  streams.out(
    wantsJson ? jsonLine(outcome.json) : outcome.lines.map((line) => `${line}\n`).join(''),
  );
  return outcome.negative ? 1 : 0;
}

/** The command that the first one or two words name. */
function find(words: readonly string[]): Command | undefined {
  return commands.find(({ name }) => {
    const parts = name.split(' ');
    return parts.every((part, index) => words[index] === part);
  });
}

function unknownCommand(words: readonly string[]): Refusal {
  const [group, action] = words;
  const actions = commands
    .map(({ name }) => name.split(' '))
    .filter((parts) => parts[0] === group && parts.length === 2)
    .map((parts) => parts[1]);
  if (actions.length === 0) return refuse('argument-invalid', `unknown command '${group}'`);
  const choices = `expected one of ${actions.join(', ')}`;
  const what =
    action === undefined || action.startsWith('-')
      ? `'${group}' needs an action`
      : `unknown command '${group} ${action}'`;
  return refuse('argument-invalid', `${what}: ${choices}`);
}

function help(words: readonly string[], streams: Streams): number {
  const command = find(words);
  if (command !== undefined) {
    streams.out(commandHelp(command));
    return 0;
  }
  const group = commands.filter(({ name }) => name.split(' ')[0] === words[0]);
  if (words.length > 0 && (words.length > 1 || group.length === 0)) {
    return fail(unknownCommand(words), undefined, false, streams);
  }
  streams.out(overview(words.length === 0 ? commands : group));
  return 0;
}

function fail(
  refusal: Refusal,
  command: Command | undefined,
  json: boolean,
  streams: Streams,
): number {
  const { refused: code, row, detail } = refusal;
  const misuse = code === 'argument-invalid';
  if (json) {
    streams.out(jsonLine({ code, row, detail }));
  } else {
    streams.error(`ota: ${code}: ${detail}\n`);
    if (misuse) streams.error(`See 'ota help${command ? ` ${command.name}` : ''}'.\n`);
  }
  return misuse ? 2 : 1;
}

function jsonLine(value: Json): string {
  return `${JSON.stringify(value)}\n`;
}
