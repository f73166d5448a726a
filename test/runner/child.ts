/** Runs one test program as a process group of its own, within a time, and collects its output. */
import { spawn } from 'node:child_process';

/** Output kept of one program, in characters; of more, the end is kept. */
const maxOutputCharacters = 1_000_000;
/** How long processes that a test started may take to end after it. */
const leftoverMilliseconds = 3_000;

export interface ChildResult {
  /** Exit status, or the signal's name. */
  readonly status: number | string;
  readonly output: string;
  /** Process id; undefined when it could not be started. */
  readonly id: number | undefined;
  readonly timedOut: boolean;
  /** Processes of the test still ran after it and were killed. */
  readonly leftovers: boolean;
}

const running: number[] = [];

/** Kills what runs now: for the end of the runner by a signal. */
export function killRunning(): void {
  for (const pid of running) signalGroup(pid, 'SIGKILL');
}

/** True when the group had a process to signal; signal 0 only asks. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

async function groupEnded(pid: number): Promise<boolean> {
  for (let waited = 0; waited < leftoverMilliseconds; waited += 50) {
    if (!signalGroup(pid, 0)) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return !signalGroup(pid, 0);
}

/** Where a program runs, where not in this process's folder and environment. */
export interface Surroundings {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs `node program`; never rejects for what the program does. */
export async function runChild(
  program: string,
  milliseconds: number,
  surroundings: Surroundings = {},
): Promise<ChildResult> {
  const child = spawn(process.execPath, ['--enable-source-maps', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...surroundings,
  });
  const pid = child.pid;
  let output = '';
  const collect = (text: string): void => {
    output += text;
    if (output.length > 2 * maxOutputCharacters) output = output.slice(-maxOutputCharacters);
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  const closed = new Promise((resolve) => child.once('close', resolve));
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    child.once('error', (error) => resolve(error.message));
  });
  if (pid === undefined) {
    return { status: await ended, output, id: pid, timedOut: false, leftovers: false };
  }
  running.push(pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    signalGroup(pid, 'SIGKILL');
  }, milliseconds);
  const status = await ended;
  clearTimeout(timer);
  const leftovers = !(await groupEnded(pid));
  if (leftovers) signalGroup(pid, 'SIGKILL');
  running.splice(running.indexOf(pid), 1);
  await closed;
  return { status, output, id: pid, timedOut, leftovers };
}
