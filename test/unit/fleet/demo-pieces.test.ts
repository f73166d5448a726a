/** The demonstration's small parts: log lines, progress bars, options. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { attackNames, createAttack } from '../../../backend/fleet/attacks/attacks.ts';
import { readBusEnvironment } from '../../../backend/fleet/bus-environment.ts';
import { readDemoOptions } from '../../../backend/fleet/demo-options.ts';
import { parseLogLine } from '../../../backend/fleet/log-line.ts';
import { advance, type EcuProgress, frame, merge } from '../../../backend/fleet/progress-view.ts';

const test = suite('Demonstration');

test('a log line is an event with fields; the last value may hold blanks', () => {
  assert.equal(parseLogLine('ready ecu=full release=2'), {
    event: 'ready',
    fields: { ecu: 'full', release: '2' },
  });
  assert.is(
    parseLogLine('refused code=x detail=two words here')?.fields['detail'],
    'two words here',
  );
  assert.is(parseLogLine('Error: something else'), undefined);
});

const idle: EcuProgress = { ecuId: 'full', stage: 'boot', bytes: 0, of: 0, note: '' };

test('a bar shows the share of the bytes, and a stage its name', () => {
  const line = parseLogLine('progress ecu=full stage=transfer bytes=50 of=100')!;
  const [half] = advance([idle], 'primary', line);
  assert.match(frame([half!], false)[0]!, '████████████░░░░░░░░░░░░  50%  receiving over CAN');
  const refused = advance([idle], 'full', parseLogLine('refused code=image-hash row=PRI-09')!);
  assert.match(frame(refused, false)[0]!, 'refused');
  assert.match(frame(refused, false)[0]!, 'image-hash (PRI-09)');
  assert.match(frame(refused, true)[0]!, '\u001b[31m');
});

test('the Primary tells the bytes while they move; then each ECU speaks for itself', () => {
  const told = { ecuId: 'full', stage: 'transfer', bytes: 16_400, of: 65_600 };
  const [moving] = merge([{ ...idle, stage: 'verified' }], [told]);
  assert.match(frame([moving!], false)[0]!, '25%  receiving over CAN');
  const confirmed = { ...idle, stage: 'confirmed', bytes: 1, of: 1 };
  assert.equal(merge([confirmed], [told]), [confirmed], 'what comes late changes nothing');
  assert.equal(merge([moving!], [{ ...told, stage: 'trial' }]), [moving!]);
});

test('a line about another ECU changes nothing', () => {
  const before = [idle];
  assert.equal(advance(before, 'other', parseLogLine('confirmed ecu=partial release=2')!), before);
});

test('every mistake is named at once', () => {
  const options = readDemoOptions({ ECU: 'x', ATTACK: 'y', DIRECTOR_PORT: '70000' });
  assert.ok(isRefusal(options));
  for (const word of ['ECU=x', 'FIRMWARE', 'ATTACK=y', 'DIRECTOR_PORT=70000']) {
    assert.match((options as { detail: string }).detail, word);
  }
});

test('firmware of 0 bytes and of more than 64 MiB is refused', () => {
  assert.ok(isRefusal(readDemoOptions({ FIRMWARE: '/dev/null' })));
  assert.ok(isRefusal(readDemoOptions({ FIRMWARE: 'test' })), 'a folder');
});

test('the bus of the demonstration is asked for by CAN_ variables', () => {
  const read = readBusEnvironment({
    CAN_LOG: 'bus.pcap',
    CAN_SOCKETCAND: '29536',
    CAN_SLCAN: 'unix:slcan',
    CAN_FAULTS: 'loss=0.01',
  });
  assert.equal(read.mistakes, []);
  assert.equal(read.hubArguments, [
    ...['--log', join(process.cwd(), 'bus.pcap'), '--socketcand', 'tcp:29536'],
    ...['--slcan', 'unix:slcan', '--faults', 'loss=0.01'],
  ]);
  assert.equal(readBusEnvironment({ CAN_LOG: '', CAN_SLCAN: '' }).hubArguments, []);
});

test('every mistake about the bus is named at once, before anything is started', () => {
  const options = readDemoOptions({
    CAN_LOG: '/nonexistent/bus',
    CAN_SOCKETCAND: 'unix:here',
    CAN_SLCAN: '70000',
    CAN_FAULTS: 'loss=2,lose=1',
  });
  assert.ok(isRefusal(options));
  for (const mistake of [
    'CAN_LOG=/nonexistent/bus: /nonexistent/bus.log cannot be written (ENOENT)',
    'CAN_SOCKETCAND=unix:here: expected a port',
    'CAN_SLCAN=70000: expected a port',
    'CAN_FAULTS: loss=2: expected a probability',
    'CAN_FAULTS: "lose=1": expected one of',
  ]) {
    assert.match(options.detail, mistake);
  }
});

test('each of the ten attackers can be made', () => {
  assert.is(attackNames.length, 10);
  for (const name of attackNames) assert.is(createAttack(name).name, name);
  assert.throws(() => createAttack('none'));
});

test.run();
