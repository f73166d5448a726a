/** What is kept for the next report, and what is of the moment (EVR-04). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refuse } from '../../../agent/codes.ts';
import { DetectionLog } from '../../../agent/ecu/detections.ts';
import { MemoryKeyValue } from '../../simulator/repository-simulator.ts';

const test = suite('Detections');

test('a failure of the moment is not told, one that has lasted is, as the attack it looks like (EVR-04)', () => {
  const log = new DetectionLog(new MemoryKeyValue());
  log.add('ecu-1', refuse('net-closed'));
  assert.equal(log.of('ecu-1'), []);
  log.addPersistent('ecu-1', refuse('net-closed'));
  log.addPersistent('ecu-1', refuse('net-closed'));
  assert.equal(log.of('ecu-1'), [{ code: 'net-closed', row: 'VER-01', attack: 'drop-request' }]);
});

test.run();
