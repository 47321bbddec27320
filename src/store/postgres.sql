CREATE TABLE keyfob_second_factor (
    account text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    record bytea NOT NULL
);
