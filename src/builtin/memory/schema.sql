-- One tenant's memory. An entry is a skill, a note, or a message of a conversation.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('skill', 'note', 'message')),
    name TEXT NOT NULL,     -- of the skill; of the conversation; the note's tags, separated by spaces
    summary TEXT NOT NULL,  -- the skill's description, else empty
    text TEXT NOT NULL,
    label TEXT NOT NULL,    -- the skill's status; the message's role; else empty
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX entries_by_name ON entries (kind, name, id);
CREATE UNIQUE INDEX skills_by_name ON entries (name) WHERE kind = 'skill';
CREATE INDEX notes_by_start ON entries (substr(text, 1, 64)) WHERE kind = 'note';

CREATE VIRTUAL TABLE entries_text USING fts5(
    name, summary, text, content = 'entries', content_rowid = 'id', tokenize = "unicode61 remove_diacritics 2"
);
CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
    INSERT INTO entries_text (rowid, name, summary, text) VALUES (new.id, new.name, new.summary, new.text);
END;
CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN
    INSERT INTO entries_text (entries_text, rowid, name, summary, text)
    VALUES ('delete', old.id, old.name, old.summary, old.text);
END;
CREATE TRIGGER entries_changed AFTER UPDATE ON entries BEGIN
    INSERT INTO entries_text (entries_text, rowid, name, summary, text)
    VALUES ('delete', old.id, old.name, old.summary, old.text);
    INSERT INTO entries_text (rowid, name, summary, text) VALUES (new.id, new.name, new.summary, new.text);
END;

PRAGMA user_version = 1;
