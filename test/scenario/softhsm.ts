/**
 * A PKCS#11 token of a test's own: Debian's softhsm2 in a folder that goes with it. Its tools find it
 * by an environment variable, which is this process's while the token lives.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenSettings } from '../../backend/signer/pkcs11/token.ts';
import { helperPath } from '../../backend/signer/pkcs11/token-helper.ts';

export const softhsmModule = '/usr/lib/softhsm/libsofthsm2.so';
/** Of the same program, built with sanitizers. */
const checkedHelper = `${helperPath}-checked`;

/** Why there is no token here; undefined where there is. */
export function whyNoToken(): string | undefined {
  if (!existsSync(softhsmModule)) return 'without package softhsm2';
  if (!existsSync('/usr/bin/pkcs11-tool')) return 'without package opensc';
  return existsSync(checkedHelper)
    ? undefined
    : 'without make token-helper (package libp11-kit-dev)';
}

export class TestToken {
  readonly label = 'ota test';
  readonly pin = '72-correct';
  readonly folder = mkdtempSync(join(tmpdir(), 'ota-softhsm-'));

  constructor() {
    mkdirSync(this.tokens);
    const configuration = join(this.folder, 'softhsm2.conf');
    writeFileSync(configuration, `directories.tokendir = ${this.tokens}\nlog.level = ERROR\n`);
    process.env['SOFTHSM2_CONF'] = configuration;
    this.initialise(this.label);
  }

  /** Makes a token of this label, beside those that are there. */
  initialise(label: string): void {
    const pins = ['--pin', this.pin, '--so-pin', 'so-pin-0'];
    execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], {
      stdio: 'ignore',
    });
  }

  get settings(): TokenSettings {
    const { label, pin } = this;
    return { module: softhsmModule, label, pin, helper: checkedHelper };
  }

  /** For processes of their own. */
  get environment() {
    return {
      SOFTHSM2_CONF: process.env['SOFTHSM2_CONF']!,
      OTA_PKCS11_MODULE: softhsmModule,
      OTA_PKCS11_TOKEN: this.label,
      OTA_PKCS11_PIN: this.pin,
    };
  }

  /** Private keys in it, as another program counts them. */
  keyCount(): number {
    const listed = execFileSync(
      'pkcs11-tool',
      [
        ...['--module', softhsmModule, '--token-label', this.label, '--login'],
        ...['--pin', 'env:TEST_PIN', '--list-objects', '--type', 'privkey'],
      ],
      { env: { ...process.env, TEST_PIN: this.pin }, encoding: 'utf8', stdio: 'pipe' },
    );
    return listed.split('Private Key Object').length - 1;
  }

  /** As when the device is pulled out; `plugIn` brings it back. */
  unplug(): void {
    renameSync(this.tokens, `${this.tokens}.away`);
    mkdirSync(this.tokens);
  }

  plugIn(): void {
    rmSync(this.tokens, { recursive: true });
    renameSync(`${this.tokens}.away`, this.tokens);
  }

  remove(): void {
    delete process.env['SOFTHSM2_CONF'];
    rmSync(this.folder, { recursive: true });
  }

  private get tokens(): string {
    return join(this.folder, 'tokens');
  }
}

/** The processes of modules that a process has started. */
export function helpersOf(parent: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((name) => isHelperOf(parent, name))
    .map(Number);
}

function isHelperOf(parent: number, process: string): boolean {
  try {
    const status = readFileSync(`/proc/${process}/status`, 'utf8');
    return status.includes(`\nPPid:\t${parent}\n`) && status.startsWith('Name:\ttoken-helper');
  } catch {
    return false; // it has ended meanwhile
  }
}
