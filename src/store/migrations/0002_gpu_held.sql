-- Who held how much GPU memory: bytes, the most within the minute. Nobody's memory has tenant ''.
CREATE TABLE gpu_held (
    minute INTEGER NOT NULL,
    device TEXT NOT NULL,
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    memory INTEGER NOT NULL,
    PRIMARY KEY (minute, device, tenant, holder)
) STRICT, WITHOUT ROWID;
