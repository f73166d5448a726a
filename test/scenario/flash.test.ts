/** `make flash` over a real sshd into a folder; what it installed runs there under its own user. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BackendProcess } from '../../backend/fleet/backend-process.ts';
import { Operator } from '../../backend/fleet/operator.ts';
import { FlashHost, flashHostMissing } from './flash-host.ts';

const test = suite('flash over ssh');
const program = 'usr/local/lib/ota/ecu-primary';
const unit = 'etc/systemd/system/ota-primary.service';
const state = 'var/lib/ota/primary';

/** Prints the datagrams that a service manager would get, one a line. */
const notifications = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
print('listening', flush=True)
while True: print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`;

/** Lines of a child; `line` waits for one that begins so. */
function linesOf(child: ChildProcess): { line(start: string): Promise<string>; all(): string } {
  let text = '';
  const look: (() => void)[] = [];
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (more) => {
      text += more;
      for (const one of look) one();
    });
  }
  return {
    all: () => text,
    line: (start) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const found = text.split('\n').find((one) => one.startsWith(start));
          if (found !== undefined) resolve(found);
        };
        look.push(check);
        child.once('close', () => reject(new Error(`no line '${start}' in: ${text}`)));
        check();
      }),
  };
}

async function until(done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 200));
}

const missing = flashHostMissing();
const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
if (missing !== undefined) {
  console.log(`skipped: 3 ${missing}`);
} else if (!existsSync(`out/bin/${machine}/ecu-primary`)) {
  console.log(`skipped: 3 make runtime was not run for ${machine}: it needs packages`);
} else {
  test('a board that cannot be flashed is told why, and nothing is written', async () => {
    const host = await FlashHost.start();
    try {
      // DRY_RUN and an interface that no machine has: whatever goes wrong, nothing is installed.
      const careful = { BOARD: 'raspberrypi', DRY_RUN: '1', CAN: 'no-such-can' };
      const other = machine === 'x86_64' ? /wrong processor: x86_64, raspberrypi has aarch64/ : /./;
      const wrong = await host.flash({ ...careful, TARGET_ROOT: '/' });
      assert.is(wrong.status, 1);
      assert.match(wrong.output, other);
      assert.match(wrong.output, /no CAN interface no-such-can/);
      for (const [more, expected] of [
        [{ SSH_PORT: '1' }, /it cannot be reached/],
        [{ SSH_IDENTITY: join(host.folder, 'host-key') }, /it refuses the login/],
        [{ SSH_CONFIG: '/dev/null' }, /its host key is not known/],
      ] as const) {
        const run = await host.flash({ ...careful, ...more });
        assert.is(run.status, 1, run.output);
        assert.match(run.output, expected);
      }
      const options = await host.flash({
        BOARD: 'emulated',
        ECU: 'wheel',
        HOST: '-oProxyCommand=x',
      });
      assert.is(options.status, 2);
      for (const word of ['ECU=wheel', 'HOST=-o', 'make demo BOARD=emulated']) {
        assert.match(options.output, word);
      }
      assert.equal(readdirSync(host.root).sort(), ['etc', 'run']);
    } finally {
      await host.stop();
    }
  });

  test('an account without rights is seen as one', () => {
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const look = ['sh', '-s', '--', '', 'primary', 'can0'];
    const input = readFileSync('boards/systemd/look.sh');
    const { stdout } = spawnSync('setpriv', [...nobody, ...look], { input, encoding: 'utf8' });
    assert.match(stdout, /^rights=none$/m);
    assert.match(stdout, /^end=yes$/m);
  });

  test('the first run provisions an ECU that reports; the next keep its keys until asked not to', async () => {
    const host = await FlashHost.start();
    const stops: (() => Promise<unknown> | unknown)[] = [() => host.stop()];
    try {
      const description = JSON.parse(readFileSync('boards/raspberrypi/board.json', 'utf8'));
      description.engine.architectures = [machine];
      description.flash.partitions[4].length = 1_048_576;
      const board = join(host.folder, 'board.json');
      writeFileSync(board, JSON.stringify(description));
      const secrets = {
        OTA_KEYS: join(host.folder, 'keys'),
        OTA_PASSPHRASE: randomBytes(18).toString('base64url'),
        OTA_OPERATOR_TOKEN: randomBytes(24).toString('base64url'),
      };
      await Operator.holdCeremony(secrets);
      const backend = await BackendProcess.start({
        ...secrets,
        OTA_STATE: join(host.folder, 'backend'),
        OTA_LOG_LEVEL: 'error',
        ...{ DIRECTOR_PORT: '0', IMAGES_PORT: '0', OPERATOR_PORT: '0' },
      });
      stops.push(() => backend.stop());
      const OTA_URL = `http://127.0.0.1:${backend.ports.operator}`;
      const settings = {
        ...secrets,
        OTA_URL,
        BOARD: board,
        DIRECTOR: `127.0.0.1:${backend.ports.director}`,
        IMAGES: `127.0.0.1:${backend.ports.images}`,
      };
      const at = (path: string): string => join(host.root, path);

      const dry = await host.flash({ ...settings, DRY_RUN: '1' });
      assert.is(dry.status, 0, dry.output);
      assert.match(dry.output, /ExecStart=/);
      assert.equal(readdirSync(host.root).sort(), ['etc', 'run']);

      const first = await host.flash(settings);
      assert.is(first.status, 0, first.output);
      assert.match(first.output, /provisioned \/var\/lib\/ota\/primary/);
      const [, , uid, gid] = /^ota-primary:(.*)$/m
        .exec(readFileSync(at('etc/passwd'), 'utf8'))![0]
        .split(':');
      for (const path of [state, `${state}/flash.bin`, `${state}/key-value`]) {
        const { uid: owner, mode } = statSync(at(path));
        assert.is(owner, Number(uid));
        assert.is(mode & 0o077, 0, `${path} is its owner's alone`);
      }
      const vehicles = join(host.folder, 'vehicles/my-car-1');
      assert.equal(readdirSync(vehicles).sort(), ['full', 'partial'], 'the keys are in one place');
      const links = 'etc/systemd/system/multi-user.target.wants';
      assert.equal(readdirSync(at(links)), ['ota-primary.service']);

      // The units, judged by systemd itself.
      const analyze = (...words: string[]) =>
        spawnSync('systemd-analyze', [...words], { encoding: 'utf8' });
      for (const path of ['bin/sh', 'sbin/ip']) {
        execFileSync('install', ['-D', '/bin/true', at(path)]);
      }
      cpSync('/lib/systemd/system', at('usr/lib/systemd/system'), { recursive: true });
      const verified = analyze('verify', '--man=no', `--root=${host.root}`, 'ota-primary.service');
      assert.is(verified.stderr, '');
      assert.is(verified.status, 0);
      for (const [name, most] of [
        ['ota-primary', 20],
        ['ota-can-can0', 20],
      ] as const) {
        const words = ['security', '--offline=yes', `--root=${host.root}`, `--threshold=${most}`];
        const judged = analyze(...words, `${name}.service`);
        assert.is(judged.status, 0, judged.stdout + judged.stderr);
      }

      // The kernel of this machine may have no CAN: the installed ECU joins a hub instead.
      const ecu = JSON.parse(readFileSync(at('etc/ota/primary.json'), 'utf8'));
      assert.is(ecu.buses.can0, 'can:can0');
      ecu.buses.can0 = 'unix:/run/can0.sock';
      writeFileSync(at('run/primary.json'), JSON.stringify(ecu));
      const start = (words: readonly string[], name = words[0]!): ChildProcess => {
        const child = spawn(name, words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
        const closed = new Promise((resolve) => child.once('close', resolve));
        stops.push(() => {
          child.kill('SIGTERM');
          return closed;
        });
        return child;
      };
      const hub = start([
        process.execPath,
        'hal/emulated/can-hub.ts',
        '--listen',
        `unix:${at('run/can0.sock')}`,
      ]);
      await linesOf(hub).line('listening');
      execFileSync('chmod', ['0777', at('run/can0.sock')]);
      const manager = linesOf(start(['python3', '-c', notifications, at('run/notify')]));
      await manager.line('listening');
      const line = /^ExecStart=(.*) \$OTA_RESTART_CAUSE$/m.exec(
        readFileSync(at(unit), 'utf8'),
      )![1]!;
      const words = line.replace('/etc/ota/primary.json', '/run/primary.json').split(' ');
      const unprivileged = [
        'env',
        'NOTIFY_SOCKET=/run/notify',
        'OTA_WATCHDOG=notify',
        'chroot',
        `--userspec=${uid}:${gid}`,
      ];
      const running = linesOf(start([...unprivileged, host.root, ...words]));
      assert.match(await running.line('boot '), /slot=A image=primary-agent-1\.bin/);
      await manager.line('READY=1');
      const operator = new Operator({ ...secrets, OTA_URL });
      await until(async () => (await operator.vehicle('my-car-1'))?.lastManifest !== undefined);
      // The board has partitions for it: the program that was flashed is an ECU of its own.
      const ecus = (await operator.vehicle('my-car-1'))!.ecus;
      const runtime = ecus.find(({ ecuId }) => ecuId === 'primary-runtime')!;
      assert.is(runtime.hardwareId, `runtime-primary-${machine}`);
      assert.is(runtime.installed?.releaseCounter, 1);
      const built = statSync(`out/bin/${machine}/ecu-primary`);
      assert.is(runtime.installed?.length, built.size);

      // Again: what is the ECU's stays, what is the program's is replaced.
      const kept = join(state, 'flash.bin');
      const before = statSync(at(kept)).ino;
      // Removed first: the ECU of before still runs it.
      rmSync(at(program));
      writeFileSync(at(program), 'an older program');
      const again = await host.flash(settings);
      assert.is(again.status, 0, again.output);
      assert.match(
        again.output,
        /replaced \/usr\/local\/lib\/ota\/ecu-primary\nkept \/var\/lib\/ota\/primary/,
      );
      assert.is(statSync(at(kept)).ino, before);
      assert.is(statSync(at(program)).mode & 0o777, 0o755);
      assert.equal(readFileSync(at(program)), readFileSync(`out/bin/${machine}/ecu-primary`));

      const same = await host.flash({ ...settings, REPROVISION: '1' });
      assert.is(same.status, 1);
      assert.match(same.output, /given to a board already/);
      assert.is(statSync(at(kept)).ino, before);
      // Its factory still has it: the state from before gives way, and is not lost.
      cpSync(at(state), join(vehicles, 'primary'), { recursive: true });
      const replaced = await host.flash({ ...settings, REPROVISION: '1' });
      assert.is(replaced.status, 0, replaced.output);
      assert.is.not(statSync(at(kept)).ino, before);
      assert.is(statSync(at(`${state}.previous/flash.bin`)).ino, before);
    } finally {
      for (const stop of stops.reverse()) await stop();
    }
  });
  test.run();
}
