/** The texts of `ota help`, made from the commands' own declarations. */
import type { Command, Options } from './command.ts';

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

/** All commands, one line each. */
export function overview(commands: readonly Command[]): string {
  return [
    'Usage: ota COMMAND [arguments]\n\n',
    columns(commands.map(({ name, summary }) => [name, summary] as const)),
    "\n'ota help COMMAND' explains one command. Every command takes --json.\n",
    'Exit status: 0 done, 1 refused, 2 wrong arguments.\n',
  ].join('');
}

/** One command: usage, options, notes. */
export function commandHelp(command: Command): string {
  const required = Object.entries(command.options)
    .filter(([, option]) => option.required)
    .map(([name, option]) => spell(name, option.value));
  const usage = ['ota', command.name, ...command.positionals, ...required, '[options]'].join(' ');
  const notes = command.notes ? `\n${command.notes.join('\n')}\n` : '';
  return `Usage: ${usage}\n\n${command.summary}.\n\n${optionLines(command.options)}${notes}`;
}

function optionLines(options: Options): string {
  const rows = Object.entries(options).map(
    ([name, { value, help }]) => [spell(name, value), help] as const,
  );
  return columns([...rows, ['--json', 'print one JSON value instead of lines']]);
}

function spell(name: string, value: string | undefined): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}
