-- Two processes that start at once must not both make a table: IF NOT EXISTS looks first and creates later.
SELECT pg_advisory_xact_lock(3817234905);
CREATE TABLE IF NOT EXISTS bearer_records (
	name    text   COLLATE "C" PRIMARY KEY,
	data    bytea  NOT NULL,
	version bigint NOT NULL,
	saved   bigint NOT NULL -- milliseconds since 1970: for a job that deletes what was abandoned
);
CREATE TABLE IF NOT EXISTS bearer_locks (
	name   text   COLLATE "C" PRIMARY KEY,
	holder text   NOT NULL,
	ends   bigint NOT NULL -- milliseconds since 1970
);
