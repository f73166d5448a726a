/**
 * What a person sees while a vehicle is updated: stages and progress bars per ECU. `frame` is a
 * pure function of the state; `ProgressView` redraws it on a terminal, or prints a plain line at
 * every change of stage where there is none (or NO_COLOR is set).
 */
import type { LogLine } from './log-line.ts';

/** Stages of one ECU, in the order in which an update passes them. */
const stageNames: Readonly<Record<string, string>> = {
  boot: 'booting',
  ready: 'ready',
  verified: 'metadata verified',
  download: 'downloading',
  downloaded: 'downloaded',
  transfer: 'receiving over CAN',
  install: 'installing',
  checked: 'checked',
  activated: 'restarting',
  'trial-passed': 'passed its trial',
  confirmed: 'confirmed',
  refused: 'refused',
  'rolled-back': 'rolled back',
};

export interface EcuProgress {
  readonly ecuId: string;
  readonly stage: string;
  readonly bytes: number;
  readonly of: number;
  /** What it runs, or why it refused. */
  readonly note: string;
}

const barCells = 24;

/** One line per ECU: name, bar, stage, note. `colour` adds ANSI colours. */
export function frame(ecus: readonly EcuProgress[], colour: boolean): string[] {
  const width = Math.max(...ecus.map((ecu) => ecu.ecuId.length), 0);
  return ecus.map((ecu) => {
    const share = ecu.of === 0 ? 0 : Math.min(1, ecu.bytes / ecu.of);
    const filled = Math.round(share * barCells);
    const bar = '█'.repeat(filled) + '░'.repeat(barCells - filled);
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const stage = (stageNames[ecu.stage] ?? ecu.stage).padEnd(19);
    const painted = colour ? `\u001b[${stageColour(ecu.stage)}m${stage}\u001b[0m` : stage;
    return `  ${ecu.ecuId.padEnd(width)}  ${bar} ${percent}  ${painted} ${ecu.note}`.trimEnd();
  });
}

function stageColour(stage: string): number {
  if (stage === 'confirmed') return 32;
  return stage === 'refused' || stage === 'rolled-back' ? 31 : 36;
}

/** The state after one log line of the agent that runs `owner`. */
export function advance(
  ecus: readonly EcuProgress[],
  owner: string,
  { event, fields }: LogLine,
): readonly EcuProgress[] {
  const ecuId = fields['ecu'] ?? owner;
  return ecus.map((ecu) => (ecu.ecuId === ecuId ? next(ecu, event, fields) : ecu));
}

/** Stages between which an update moves on by bytes; what comes later, each ECU says for itself. */
const movingStages = [
  'ready',
  'verified',
  'download',
  'downloaded',
  'transfer',
  'install',
  'checked',
];

/** The state after what the Primary told: exact bytes, of the stages in which bytes move. */
export function merge(
  ecus: readonly EcuProgress[],
  told: readonly Pick<EcuProgress, 'ecuId' | 'stage' | 'bytes' | 'of'>[],
): readonly EcuProgress[] {
  return ecus.map((ecu) => {
    const news = told.find(({ ecuId }) => ecuId === ecu.ecuId);
    const moving = [ecu, news].every((one) => one && movingStages.includes(one.stage));
    return moving ? { ...ecu, ...news } : ecu;
  });
}

function next(ecu: EcuProgress, event: string, fields: LogLine['fields']): EcuProgress {
  switch (event) {
    case 'progress':
      return {
        ...ecu,
        stage: fields['stage'] ?? ecu.stage,
        bytes: Number(fields['bytes']),
        of: Number(fields['of']),
      };
    case 'boot':
      return { ...ecu, stage: 'boot', note: `${fields['image']} in slot ${fields['slot']}` };
    case 'confirmed':
      return { ...ecu, stage: 'confirmed', bytes: 1, of: 1 };
    case 'refused':
      return { ...ecu, stage: 'refused', note: `${fields['code']} (${fields['row']})` };
    case 'ready':
      return ecu.stage === 'boot' ? { ...ecu, stage: 'ready' } : ecu;
    case 'verified':
      return fields['images'] === '0' ? ecu : { ...ecu, stage: 'verified' };
    default:
      return event in stageNames ? { ...ecu, stage: event } : ecu;
  }
}

const redrawMilliseconds = 80;

export class ProgressView {
  private readonly output: NodeJS.WriteStream;
  private readonly live: boolean;
  private readonly colour: boolean;
  private ecus: readonly EcuProgress[];
  private drawn = 0;
  private redraw: NodeJS.Timeout | undefined;

  constructor(ecuIds: readonly string[], output: NodeJS.WriteStream) {
    this.output = output;
    this.live = output.isTTY === true && process.env['NO_COLOR'] === undefined;
    this.colour = this.live;
    this.ecus = ecuIds.map((ecuId) => ({ ecuId, stage: 'boot', bytes: 0, of: 0, note: '' }));
  }

  /** Takes one log line of the agent that runs `owner`. */
  line(owner: string, line: LogLine): void {
    this.show(advance(this.ecus, owner, line));
  }

  /** Takes what the Primary tells of all ECUs. */
  progress(told: Parameters<typeof merge>[1]): void {
    this.show(merge(this.ecus, told));
  }

  private show(ecus: readonly EcuProgress[]): void {
    const before = this.ecus;
    this.ecus = ecus;
    if (this.live) {
      this.redraw ??= setTimeout(() => this.draw(), redrawMilliseconds);
      return;
    }
    this.ecus.forEach((ecu, i) => {
      if (worthALine(before[i]!, ecu)) this.output.write(`${frame([ecu], false)[0]}\n`);
    });
  }

  /** A line of its own above the bars. */
  message(text: string): void {
    this.erase();
    this.output.write(`${text}\n`);
    if (this.live && this.drawn >= 0) this.draw();
  }

  /** Draws the last state and leaves it on the screen. */
  end(): void {
    if (this.live) this.draw();
    this.drawn = 0;
  }

  private draw(): void {
    clearTimeout(this.redraw);
    this.redraw = undefined;
    this.erase();
    const lines = frame(this.ecus, this.colour);
    this.output.write(`${lines.join('\n')}\n`);
    this.drawn = lines.length;
  }

  private erase(): void {
    if (this.drawn > 0) this.output.write(`\u001b[${this.drawn}A\u001b[J`);
    this.drawn = 0;
  }
}

/** Without a terminal: a line at every new stage, and at each quarter of a transfer. */
function worthALine(before: EcuProgress, after: EcuProgress): boolean {
  if (before === after) return false;
  const quarter = (ecu: EcuProgress) => (ecu.of === 0 ? 0 : Math.floor((4 * ecu.bytes) / ecu.of));
  return (
    before.stage !== after.stage || before.note !== after.note || quarter(before) !== quarter(after)
  );
}
