CREATE TABLE IF NOT EXISTS bearer_records (
	name    text    PRIMARY KEY NOT NULL,
	data    blob    NOT NULL,
	version integer NOT NULL,
	saved   integer NOT NULL -- milliseconds since 1970: for a job that deletes what was abandoned
);
CREATE TABLE IF NOT EXISTS bearer_locks (
	name   text    PRIMARY KEY NOT NULL,
	holder text    NOT NULL,
	ends   integer NOT NULL -- milliseconds since 1970
);
