-- Who calls over HTTP. Of an API key only the SHA-256 of its text is kept, of a password only its argon2 hash.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    tenant TEXT,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires INTEGER,
    last_used INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    email TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    tenant TEXT,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the credential allowed, of calls and acts over HTTP; and how long an act took.
ALTER TABLE calls ADD COLUMN role TEXT;
ALTER TABLE journal ADD COLUMN role TEXT;
ALTER TABLE journal ADD COLUMN tenant TEXT;
ALTER TABLE journal ADD COLUMN took_ms INTEGER;
