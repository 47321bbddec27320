CREATE TABLE keyfob_second_factor (
    account VARBINARY(255) NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    record MEDIUMBLOB NOT NULL
) ENGINE = InnoDB;
