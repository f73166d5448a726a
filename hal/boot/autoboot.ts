/**
 * `autoboot.txt` of the Raspberry Pi's firmware: which partition boots, and which one in its place
 * when the restart before asked for `tryboot`, once. What else the file says stays as it is.
 */

/** The firmware reads no more of it. */
const maxBytes = 512;

export interface Autoboot {
  /** Partition number that boots; undefined where the file does not say. */
  readonly normal: number | undefined;
  /** The one that boots once, after a restart with `tryboot`. */
  readonly trial: number | undefined;
}

type Section = keyof Autoboot | undefined;

/** `[tryboot]` counts after a restart with it, `[all]` and what comes before any filter always. */
function sectionOf(line: string, before: Section): Section {
  const text = line.trim();
  if (text[0] !== '[') return before;
  if (text === '[tryboot]') return 'trial';
  return text === '[all]' ? 'normal' : undefined;
}

const setting = 'boot_partition=';
/** `tryboot` takes another partition, not another configuration file of the same one. */
const abSwitch = 'tryboot_a_b=';

export function readAutoboot(text: string): Autoboot {
  let section: Section = 'normal';
  const found: { normal: number | undefined; trial: number | undefined } = {
    normal: undefined,
    trial: undefined,
  };
  for (const line of text.split('\n')) {
    section = sectionOf(line, section);
    const trimmed = line.trim();
    if (section === undefined || trimmed.indexOf(setting) !== 0) continue;
    const number = Number(trimmed.slice(setting.length));
    if (Number.isSafeInteger(number) && number > 0) found[section] = number;
  }
  return found;
}

/** The file with both partitions in it. Throws when it would be longer than the firmware reads. */
export function writeAutoboot(
  text: string,
  wanted: { readonly normal: number; readonly trial: number },
): string {
  const lines: string[] = [];
  const said = { normal: false, trial: false, switch: false };
  let section: Section = 'normal';
  for (const line of text.split('\n')) {
    section = sectionOf(line, section);
    const trimmed = line.trim();
    if (section !== undefined && trimmed.indexOf(setting) === 0) {
      lines.push(`${setting}${wanted[section]}`);
      said[section] = true;
    } else if (section === 'normal' && trimmed.indexOf(abSwitch) === 0) {
      lines.push(`${abSwitch}1`);
      said.switch = true;
    } else if (line !== '') {
      lines.push(line);
    }
  }
  if (!said.normal || !said.switch) lines.push('[all]');
  if (!said.switch) lines.push(`${abSwitch}1`);
  if (!said.normal) lines.push(`${setting}${wanted.normal}`);
  if (!said.trial) lines.push('[tryboot]', `${setting}${wanted.trial}`);
  const all = `${lines.join('\n')}\n`;
  if (all.length > maxBytes) throw new RangeError(`autoboot.txt: over ${maxBytes} bytes`);
  return all;
}
