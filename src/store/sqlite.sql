CREATE TABLE IF NOT EXISTS keyfob_second_factor (
    account TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
