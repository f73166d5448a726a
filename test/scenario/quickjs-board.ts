/** Imported before anything that looks at BOARD: the vehicle of the test has native programs. */
process.env['BOARD'] = 'quickjs';
