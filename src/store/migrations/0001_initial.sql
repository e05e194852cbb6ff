-- Times are milliseconds since 1970 (UTC). Bounded tables are pruned by src/store/sqlite/prune.rs.

CREATE TABLE enablement (
    server TEXT NOT NULL,
    tenant TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    mark_by TEXT NOT NULL,
    mark_at INTEGER NOT NULL,
    mark_reason TEXT NOT NULL,
    PRIMARY KEY (server, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    instance TEXT NOT NULL,
    kind TEXT NOT NULL,
    mark_by TEXT NOT NULL,
    mark_at INTEGER NOT NULL,
    mark_reason TEXT NOT NULL,
    PRIMARY KEY (instance, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE era_hints (
    server TEXT PRIMARY KEY,
    era TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `seq` is the order of arrival here; `id` is unique within one owner process only.
CREATE TABLE calls (
    seq INTEGER PRIMARY KEY,
    id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    server TEXT NOT NULL,
    instance TEXT,
    method TEXT NOT NULL,
    tool TEXT,
    outcome TEXT NOT NULL,
    failed INTEGER NOT NULL,
    took_us INTEGER NOT NULL,
    wake_us INTEGER NOT NULL,
    upstream_us INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    era TEXT,
    origin TEXT NOT NULL,
    principal TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX calls_by_tenant ON calls (tenant, failed, seq);
CREATE INDEX calls_failed ON calls (seq) WHERE failed = 1;

-- `minute` counts minutes since 1970; a call without a tool has tool ''.
CREATE TABLE metrics (
    minute INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    server TEXT NOT NULL,
    method TEXT NOT NULL,
    tool TEXT NOT NULL,
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    max_us INTEGER NOT NULL,
    PRIMARY KEY (minute, tenant, server, method, tool)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the id of a pruned entry is never given to another one.
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    server TEXT NOT NULL,
    method TEXT NOT NULL,
    tool TEXT,
    params TEXT NOT NULL,
    raw INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    took_us INTEGER NOT NULL,
    operator TEXT NOT NULL,
    response TEXT
) STRICT;
CREATE INDEX history_by_tenant ON history (tenant, id);

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    operator TEXT NOT NULL,
    face TEXT NOT NULL,
    pid INTEGER NOT NULL,
    verb TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    command_line TEXT NOT NULL
) STRICT;

-- `kind` is the JSON text of the event's kind.
CREATE TABLE events (
    row INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL
) STRICT;
