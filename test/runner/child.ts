/** Runs one test program as a process group of its own, within a time, and collects its output. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

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
  /**
   * Answers the program's calls: texts on its descriptor 4, answers on 3, each preceded by its length
   * (u32, little-endian).
   */
  readonly answer?: (call: string) => string;
}

function answerCalls(calls: Readable, answers: Writable, answer: (call: string) => string): void {
  let received = Buffer.alloc(0);
  // A program that ended needs no answer.
  answers.on('error', () => undefined);
  calls.on('data', (piece: Buffer) => {
    received = Buffer.concat([received, piece]);
    while (received.length >= 4 && received.length >= 4 + received.readUInt32LE()) {
      const end = 4 + received.readUInt32LE();
      const text = Buffer.from(answer(received.toString('utf8', 4, end)));
      const head = Buffer.alloc(4);
      head.writeUInt32LE(text.length);
      answers.write(Buffer.concat([head, text]));
      received = received.subarray(end);
    }
  });
}

/** Runs `node program`; never rejects for what the program does. */
export function runChild(
  program: string,
  milliseconds: number,
  surroundings: Surroundings = {},
): Promise<ChildResult> {
  const command = [process.execPath, '--enable-source-maps', program];
  return runCommand(command, milliseconds, surroundings);
}

/** Runs a program by its path and arguments; never rejects for what the program does. */
export async function runCommand(
  [program, ...given]: readonly string[],
  milliseconds: number,
  { answer, ...place }: Surroundings,
): Promise<ChildResult> {
  const child = spawn(program!, given, {
    stdio: [
      'ignore',
      'pipe',
      'pipe',
      ...(answer === undefined ? [] : ['pipe' as const, 'pipe' as const]),
    ],
    detached: true,
    ...place,
  }) as ChildProcessByStdio<null, Readable, Readable>;
  if (answer !== undefined) {
    answerCalls(child.stdio[4] as Readable, child.stdio[3] as Writable, answer);
  }
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
