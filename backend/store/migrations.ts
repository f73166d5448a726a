/**
 * The database's form, step by step. A step that was released is never changed: a new one follows.
 * Times are unix seconds; metadata, keys and targets are kept as their CBOR bytes. The texts are
 * SQLite's; `postgres-sql.ts` says the same to PostgreSQL.
 */

/** One step, with what it needs where several processes share the database. */
export type Migration = string | { readonly both: string; readonly postgres: string };

export function sqliteText(step: Migration): string {
  return typeof step === 'string' ? step : step.both;
}

export const migrations: readonly Migration[] = [
  `
  -- Inventory (INV-01 … INV-09): appended to, never updated (DBP-08).
  CREATE TABLE vehicles (
    vehicle_id TEXT PRIMARY KEY,
    primary_ecu_id TEXT NOT NULL,
    registered INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE ecus (
    ecu_id TEXT PRIMARY KEY,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    position INTEGER NOT NULL,
    description BLOB NOT NULL,
    UNIQUE (vehicle_id, position)
  ) STRICT;

  -- Public keys in use, so that no two ECUs share one.
  CREATE TABLE ecu_keys (
    key_id BLOB PRIMARY KEY,
    ecu_id TEXT NOT NULL REFERENCES ecus
  ) STRICT;

  -- One-time tokens: only their SHA-256 is kept.
  CREATE TABLE enrolment_tokens (
    token_sha256 BLOB PRIMARY KEY,
    vehicle_id TEXT,
    created INTEGER NOT NULL,
    consumed INTEGER
  ) STRICT;

  CREATE TABLE manifests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    received INTEGER NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE INDEX manifests_by_vehicle ON manifests (vehicle_id, id);

  CREATE TABLE detections (
    manifest_id INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    position INTEGER NOT NULL,
    ecu_id TEXT NOT NULL,
    code TEXT NOT NULL,
    row TEXT NOT NULL,
    attack TEXT,
    PRIMARY KEY (manifest_id, position)
  ) STRICT, WITHOUT ROWID;

  -- What each ECU last reported; counters only rise (DIR-12, HRD-17).
  CREATE TABLE ecu_reports (
    ecu_id TEXT PRIMARY KEY REFERENCES ecus,
    counter INTEGER NOT NULL,
    report BLOB NOT NULL
  ) STRICT;

  CREATE TABLE anomalies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,
    vehicle_id TEXT NOT NULL,
    code TEXT NOT NULL,
    row TEXT NOT NULL,
    detail TEXT NOT NULL
  ) STRICT;

  CREATE TABLE roots (
    repository TEXT NOT NULL CHECK (repository IN ('director', 'images')),
    version INTEGER NOT NULL CHECK (version >= 1),
    bytes BLOB NOT NULL,
    PRIMARY KEY (repository, version)
  ) STRICT, WITHOUT ROWID;

  -- Metadata of one vehicle; root_version is the Director Root it was made under.
  CREATE TABLE director_metadata (
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    role TEXT NOT NULL CHECK (role IN ('targets', 'snapshot', 'timestamp')),
    version INTEGER NOT NULL CHECK (version >= 1),
    expires INTEGER NOT NULL,
    root_version INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (vehicle_id, role, version)
  ) STRICT, WITHOUT ROWID;

  -- Metadata of the Image repository by role name, delegated roles among them.
  CREATE TABLE image_metadata (
    role TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    expires INTEGER NOT NULL,
    root_version INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (role, version)
  ) STRICT, WITHOUT ROWID;

  -- Uploaded ciphertexts; the bytes are in the blob store under their SHA-256.
  CREATE TABLE images (
    filename TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    sha512 BLOB NOT NULL,
    length INTEGER NOT NULL,
    uploaded INTEGER NOT NULL,
    PRIMARY KEY (filename, sha256)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX images_by_sha256 ON images (sha256);

  -- Content keys at rest: sealed to the Director's wrapping key.
  CREATE TABLE content_keys (
    filename TEXT NOT NULL,
    ciphertext_sha256 BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (filename, ciphertext_sha256)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE key_objects (
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    sha256 BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (vehicle_id, sha256)
  ) STRICT, WITHOUT ROWID;

  -- What each ECU shall run: never two images for one ECU. target is the Image repository's entry.
  CREATE TABLE assignments (
    ecu_id TEXT PRIMARY KEY REFERENCES ecus,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    target BLOB NOT NULL,
    key_object_sha256 BLOB NOT NULL,
    key_object_length INTEGER NOT NULL,
    assigned INTEGER NOT NULL,
    FOREIGN KEY (vehicle_id, key_object_sha256) REFERENCES key_objects (vehicle_id, sha256)
  ) STRICT;
  CREATE INDEX assignments_by_vehicle ON assignments (vehicle_id);
  `,
  `
  -- In which step an ECU installs its image, and what becomes of a bundle when one fails.
  ALTER TABLE assignments ADD COLUMN install_step INTEGER NOT NULL DEFAULT 0;

  CREATE TABLE bundle_policies (
    vehicle_id TEXT PRIMARY KEY REFERENCES vehicles,
    on_failure INTEGER NOT NULL,
    attempts INTEGER NOT NULL
  ) STRICT;

  -- ECUs of which the last manifest has no report, but the Primary's statement why.
  CREATE TABLE ecu_absences (
    ecu_id TEXT PRIMARY KEY REFERENCES ecus,
    code TEXT NOT NULL,
    since INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- Every decision of the Director and every anomaly (DBP-09): only ever appended to.
  -- vehicle_id and ecu_id are '' where an entry concerns none; the vehicle need not exist.
  CREATE TABLE director_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    recorded INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('decision', 'detection', 'anomaly')),
    vehicle_id TEXT NOT NULL,
    ecu_id TEXT NOT NULL,
    code TEXT NOT NULL,
    row TEXT NOT NULL,
    attack TEXT,
    detail TEXT NOT NULL
  ) STRICT;
  CREATE INDEX director_log_by_vehicle ON director_log (vehicle_id, code, recorded);
  CREATE INDEX director_log_by_code ON director_log (code, recorded);
  INSERT INTO director_log (recorded, kind, vehicle_id, ecu_id, code, row, detail)
    SELECT received, 'anomaly', vehicle_id, '', code, row, detail FROM anomalies ORDER BY id;
  DROP TABLE anomalies;

  CREATE TRIGGER director_log_not_changed BEFORE UPDATE ON director_log
    BEGIN SELECT RAISE(ABORT, 'the log of the Director is only appended to'); END;
  CREATE TRIGGER director_log_not_deleted BEFORE DELETE ON director_log
    BEGIN SELECT RAISE(ABORT, 'the log of the Director is only appended to'); END;

  -- The inventory is appended to, never updated (DBP-08).
  CREATE TRIGGER vehicles_not_changed BEFORE UPDATE ON vehicles
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER vehicles_not_deleted BEFORE DELETE ON vehicles
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER ecus_not_changed BEFORE UPDATE ON ecus
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER ecus_not_deleted BEFORE DELETE ON ecus
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER ecu_keys_not_changed BEFORE UPDATE ON ecu_keys
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER ecu_keys_not_deleted BEFORE DELETE ON ecu_keys
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;

  -- What each ECU was assigned since its vehicle's last manifest: it may hold any of it (DBP-12).
  CREATE TABLE unconfirmed_images (
    ecu_id TEXT NOT NULL REFERENCES ecus,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    position INTEGER NOT NULL,
    target BLOB NOT NULL,
    PRIMARY KEY (ecu_id, position)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX unconfirmed_images_by_vehicle ON unconfirmed_images (vehicle_id);

  -- Vehicles whose last manifests show a bundle that is installed in part.
  CREATE TABLE mixed_bundles (
    vehicle_id TEXT PRIMARY KEY REFERENCES vehicles,
    detail TEXT NOT NULL,
    manifests INTEGER NOT NULL
  ) STRICT;

  -- A vehicle that held newer metadata than the store: nothing is assigned to it until it reports
  -- to hold Targets of this version (MET-07).
  CREATE TABLE recoveries (
    vehicle_id TEXT PRIMARY KEY REFERENCES vehicles,
    targets_version INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- Offline Snapshots (PURE-2), signed by the operator.
  CREATE TABLE offline_snapshots (
    version INTEGER PRIMARY KEY CHECK (version >= 1),
    bytes BLOB NOT NULL
  ) STRICT;
  `,
  `
  -- The fleet that a vehicle's enrolment token named: what its quotas are counted with.
  ALTER TABLE enrolment_tokens ADD COLUMN fleet TEXT NOT NULL DEFAULT 'default';
  ALTER TABLE vehicles ADD COLUMN fleet TEXT NOT NULL DEFAULT 'default';

  -- Vehicles that were assigned something urgent and have not reported that they run it.
  CREATE TABLE urgent_vehicles (
    vehicle_id TEXT PRIMARY KEY REFERENCES vehicles
  ) STRICT;
  `,
  `
  -- The P-256 key by which a vehicle authenticates its TLS connections: its last one counts.
  -- Certificates are not kept.
  CREATE TABLE device_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    public_key BLOB NOT NULL
  ) STRICT;
  CREATE INDEX device_keys_by_vehicle ON device_keys (vehicle_id, id);
  -- Whether a vehicle's certificates are accepted: its last entry counts.
  CREATE TABLE revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vehicle_id TEXT NOT NULL REFERENCES vehicles,
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    changed INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX revocations_by_vehicle ON revocations (vehicle_id, id);

  CREATE TRIGGER device_keys_not_changed BEFORE UPDATE ON device_keys
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER device_keys_not_deleted BEFORE DELETE ON device_keys
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER revocations_not_changed BEFORE UPDATE ON revocations
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  CREATE TRIGGER revocations_not_deleted BEFORE DELETE ON revocations
    BEGIN SELECT RAISE(ABORT, 'the inventory is only appended to'); END;
  `,
  {
    both: `
  -- What several processes change in turn; each locks the row before it reads.
  CREATE TABLE locks (
    name TEXT PRIMARY KEY
  ) STRICT, WITHOUT ROWID;
  INSERT INTO locks (name) VALUES ('images'), ('roots'), ('offline'), ('silence');

  -- TLS sessions by their id, sealed; only where several processes share the database.
  CREATE TABLE tls_sessions (
    id TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    expires INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX tls_sessions_by_expiry ON tls_sessions (expires);
  `,
    // Ids of the log rise in the order of the commits: who reads on after an id misses none. Before
    // the statement, since rows have their ids already when their own triggers run.
    postgres: `
  CREATE FUNCTION take_turn() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(7215430119); RETURN NULL; END $$;
  CREATE TRIGGER director_log_in_turn BEFORE INSERT ON director_log
    FOR EACH STATEMENT EXECUTE FUNCTION take_turn();
  `,
  },
  `
  -- Returns from backups, the last one counts: what was signed before it proves no freshness.
  CREATE TABLE restores (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    restored INTEGER NOT NULL
  ) STRICT;

  -- Vehicles of a restored database that have not reported since: they may hold newer metadata, so
  -- nothing is signed for them before (MET-07).
  CREATE TABLE awaited_vehicles (
    vehicle_id TEXT PRIMARY KEY REFERENCES vehicles
  ) STRICT;

  -- Versions that the online roles of the Image repository may have reached before a restore.
  CREATE TABLE image_version_floors (
    role TEXT PRIMARY KEY,
    version INTEGER NOT NULL
  ) STRICT;
  `,
];
