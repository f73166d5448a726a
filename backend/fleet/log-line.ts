/** The lines that an ECU's program logs: `event key=value …`, the last value running to the end. */

export interface LogLine {
  readonly event: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Reads one line; undefined when it has not that form. */
export function parseLogLine(line: string): LogLine | undefined {
  const words = /^([a-z-]+)((?: [a-z]+=.*)?)$/.exec(line);
  if (words === null) return undefined;
  const fields: Record<string, string> = {};
  for (const [, key, value] of words[2]!.matchAll(/ ([a-z]+)=(.*?)(?= [a-z]+=|$)/g)) {
    fields[key!] = value!;
  }
  return { event: words[1]!, fields };
}
